// SPDX-License-Identifier: GPL-2.0-or-later
/// There is no locked memory for a key.
public struct OutOfMemory: Error, Equatable {}
