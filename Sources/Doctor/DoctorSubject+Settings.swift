// SPDX-License-Identifier: GPL-2.0-or-later
internal import ArgumentParser
internal import Linux
internal import Program
internal import Settings
internal import SystemPackage
internal import Wire

extension DoctorSubject {
    /// Takes the values of a daemon from its command line and its configuration.
    ///
    /// - Parameters:
    ///   - installation: The installation of the daemon.
    ///   - arguments: The flags of the daemon, with absolute paths.
    ///   - origin: A description of where the command line comes from.
    init(_ installation: Installation, arguments: [String], origin: String) {
        self.init(installation.role, instance: installation.instance)
        do {
            switch installation.role {
            case .server: self.init(try DaemonFlags<ServerSettings>.parse(arguments).effectiveSettings(), origin)
            case .client: self.init(try DaemonFlags<ClientSettings>.parse(arguments).effectiveSettings(), origin)
            }
        } catch let error as FatalError {
            configurationError = error.description
            let named = arguments.lastIndex(of: "--config").map { arguments[$0...].dropFirst().first } ?? nil
            configuration = named ?? installation.usualFile
            self.origin = origin
        } catch {
            configurationError = "the command line of the daemon cannot be read"
            self.origin = origin
        }
    }

    private init(_ effective: EffectiveSettings<ServerSettings>, _ origin: String) {
        let settings = effective.settings
        self.init(.server, instance: settings.instance)
        queues = settings.queues
        protect = settings.protect
        exempt = settings.exempt
        pinFolder = settings.pinFolder.string
        answersRefused = settings.onFailure == .reset
        let guests = settings.effectiveGuests
        keyFiles = guests.map { NamedKey(name: guests.count == 1 ? "" : $0.name, path: $0.keyFile.string) }
        takeCommon(effective, ports: settings.targetPorts, origin)
    }

    private init(_ effective: EffectiveSettings<ClientSettings>, _ origin: String) {
        let settings = effective.settings
        self.init(.client)
        queues = settings.queue...settings.queue
        keyFiles = settings.targets.map { NamedKey(name: "\($0.host)", path: $0.keyFile.string) }
        if let shared = settings.sharedKeyFile { keyFiles.append(NamedKey(path: shared.string)) }
        targets = settings.targets.map(\.host)
        let translations = [settings.nat] + settings.targets.compactMap(\.nat)
        natAddresses = translations.flatMap { translation in
            if case .addresses(let addresses) = translation { Array(addresses.values) } else { [] as [IPAddress] }
        }
        // If no code is bound to an address, it does not matter which address servers see.
        let bindings =
            settings.targets.map { $0.nat ?? settings.nat } + (settings.sharedKeyFile == nil ? [] : [settings.nat])
        isRoaming = bindings.allSatisfy { $0 == .automatic }
        takeCommon(effective, ports: settings.allPorts, origin)
    }

    private mutating func takeCommon<Settings: DaemonSettings>(
        _ effective: EffectiveSettings<Settings>, ports: [UInt16], _ origin: String
    ) {
        targetPorts = ports
        mark = effective.settings.mark
        usesTime = !effective.settings.noTime
        iptables = effective.settings.iptables
        user = effective.settings.user
        controlSocket = effective.settings.controlSocket?.string
        configuration = effective.file?.string
        self.origin = effective.file.map { "\(origin) and \($0)" } ?? origin
    }
}

extension DaemonProcess {
    /// The flags of its command line, with absolute paths.
    var flags: [String] {
        let paths: Set<String> = ["--config", "--key-file", "--control-socket", "--metrics-file", "--pin-folder"]
        var flags: [String] = []
        var rest = arguments.dropFirst()
        while let word = rest.popFirst() {
            let parts = word.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
            guard paths.contains(parts[0].replacing("_", with: "-")) else {
                flags.append(word)
                continue
            }
            flags.append(parts[0])
            guard let value = parts.count == 2 ? parts[1] : rest.popFirst() else { continue }
            flags.append(value.isEmpty ? value : path(value))
        }
        return flags
    }
}
