// SPDX-License-Identifier: GPL-2.0-or-later
import ArgumentParser
import Settings

extension MaskChoice: ExpressibleByArgument {}
