// SPDX-License-Identifier: GPL-2.0-or-later
internal import Linux
internal import Logging
internal import SystemPackage

extension StateFolder {
    /// Reads the state kept by an earlier daemon.
    ///
    /// A file that cannot be trusted is set aside.
    ///
    /// The file is read twice, because no record may be used before the whole file has been verified.
    ///
    /// - Parameters:
    ///   - logger: The log for problems with the file.
    ///   - visit: Called with each record and the head of the file.
    /// - Returns: Whether there was a file that can be trusted.
    func content(_ logger: Logger, _ visit: (StateFormat.Head, StateRecord) -> Void) -> Bool {
        do throws(Distrust) {
            guard let file = try openFile() else { return false }
            defer { try? file.close() }
            do throws(StateFormat.Damage) {
                var input = Self.input(file)
                let torn = try StateFormat.read(&input) { _, _ in }.torn
                if torn > 0 {
                    logger.warning(
                        "the last change of the state was not written completely, and is left out",
                        metadata: ["file": "\(self.file)", "bytes": "\(torn)"])
                }
                input = Self.input(file)
                _ = try StateFormat.read(&input, visit)
                return true
            } catch {
                setAside(error.description, logger)
            }
        } catch {
            setAside(error.description, logger)
        }
        return false
    }

    private func setAside(_ reason: String, _ logger: Logger) {
        var outcome = "set aside as \(damagedFile)"
        do throws(SystemError) { try setAside() } catch { outcome = "not to be set aside: \(error)" }
        logger.error(
            "the state of before is not used, so used codes and lockouts are forgotten: \(reason); \(outcome)",
            metadata: ["file": "\(file)"])
    }
}
