// SPDX-License-Identifier: GPL-2.0-or-later
/// An error thrown if no locked memory is available for a key.
public struct OutOfMemory: Error, Equatable {}
