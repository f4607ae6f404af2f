// SPDX-License-Identifier: GPL-2.0-or-later
internal import Logging
internal import NetfilterQueue

extension StateFolder {
    /// Reads what an earlier daemon has kept; a file that cannot be trusted is set aside.
    ///
    /// - Parameter logger: Where it says what is wrong with the file.
    /// - Returns: nil if there is nothing that can be trusted.
    func content(_ logger: Logger) -> StateFormat.Content? {
        do throws(Distrust) {
            guard let bytes = try read() else { return nil }
            do throws(StateFormat.Damage) {
                let content = try StateFormat.parse(bytes)
                if content.torn > 0 {
                    logger.warning(
                        "the last change of the state was not written completely, and is left out",
                        metadata: ["file": "\(file)", "bytes": "\(content.torn)"])
                }
                return content
            } catch {
                setAside(error.description, logger)
            }
        } catch {
            setAside(error.description, logger)
        }
        return nil
    }

    private func setAside(_ reason: String, _ logger: Logger) {
        var outcome = "set aside as \(damagedFile)"
        do throws(SystemError) { try setAside() } catch { outcome = "not to be set aside: \(error)" }
        logger.error(
            "the state of before is not used, so used codes and lockouts are forgotten: \(reason); \(outcome)",
            metadata: ["file": "\(file)"])
    }
}
