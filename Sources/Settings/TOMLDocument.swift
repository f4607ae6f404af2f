// SPDX-License-Identifier: GPL-2.0-or-later
internal import CTOML

/// Parses a TOML document.
///
/// - Parameter text: The document in UTF-8. Invalid UTF-8 is a syntax error.
/// - Returns: The entries of the top-level table, in file order.
/// - Throws: `TOMLSyntaxError` at the first syntax error, or if tables are nested too deeply.
func parseTOML(_ text: [UInt8]) throws(TOMLSyntaxError) -> [TOMLEntry] {
    guard NestingLimit.holds(for: text) else {
        throw TOMLSyntaxError(text: "more than \(NestingLimit.dots) dots between keys", position: nil)
    }
    let tree = TreeBuilder()
    var error = ctoml_error()
    let result = unsafe text.withUnsafeBytes { text in
        unsafe ctoml_parse(
            text.baseAddress?.assumingMemoryBound(to: CChar.self), text.count,
            { context, item in
                guard let context = unsafe context, let item = unsafe item else { return }
                unsafe Unmanaged<TreeBuilder>.fromOpaque(context).takeUnretainedValue().take(item.pointee)
            }, Unmanaged.passUnretained(tree).toOpaque(), &error)
    }
    guard result == 0 else {
        let message = unsafe withUnsafeBytes(of: &error.text) { text in
            unsafe String(decoding: text.prefix { $0 != 0 }, as: UTF8.self)
        }
        throw TOMLSyntaxError(text: message, position: TextPosition(error.position))
    }
    guard case .table(let entries) = tree.document else {
        throw TOMLSyntaxError(text: "no document", position: nil)
    }
    return entries
}

/// Builds a tree from the items that the parser passes to it.
private final class TreeBuilder {
    private struct Open {
        let key: String
        let keyPosition: TextPosition?
        let position: TextPosition?
        let isTable: Bool
        var members: [TOMLEntry] = []

        var content: TOMLValue.Content {
            guard isTable else { return .array(members.map(\.value)) }
            let last = TextPosition(line: .max, column: .max)
            return .table(members.sorted { ($0.position ?? last) < ($1.position ?? last) })
        }
    }

    private(set) var document = TOMLValue.Content.table([])
    private var open: [Open] = []

    func take(_ item: ctoml_item) {
        let key = unsafe Self.text(item.key, item.key_length)
        let keyPosition = unsafe TextPosition(item.key_position)
        let position = unsafe TextPosition(item.position)
        let kind = unsafe item.kind
        let content: TOMLValue.Content
        switch kind {
        case CTOML_TABLE, CTOML_ARRAY:
            open.append(Open(key: key, keyPosition: keyPosition, position: position, isTable: kind == CTOML_TABLE))
            return
        case CTOML_END:
            guard let closed = open.popLast() else { return }
            add(closed.content, closed.key, closed.keyPosition, closed.position)
            return
        case CTOML_STRING: content = .string(unsafe Self.text(item.string, item.string_length))
        case CTOML_INTEGER: content = unsafe .integer(item.integer)
        case CTOML_BOOLEAN: content = unsafe .boolean(item.integer != 0)
        case CTOML_TIME: content = unsafe .time(item.integer)
        case CTOML_TIME_OF_DAY: content = .timeOfDay
        default: content = .float
        }
        add(content, key, keyPosition, position)
    }

    private func add(
        _ content: TOMLValue.Content, _ key: String, _ keyPosition: TextPosition?, _ position: TextPosition?
    ) {
        guard let last = open.indices.last else {
            document = content
            return
        }
        open[last].members.append(
            TOMLEntry(key: key, position: keyPosition, value: TOMLValue(content: content, position: position)))
    }

    private static func text(_ start: UnsafePointer<CChar>?, _ count: Int) -> String {
        guard let start = unsafe start else { return "" }
        return unsafe String(
            decoding: UnsafeRawBufferPointer(start: UnsafeRawPointer(start), count: count), as: UTF8.self)
    }
}

extension TextPosition {
    fileprivate init?(_ position: ctoml_position) {
        guard position.line > 0 else { return nil }
        self.init(line: Int(position.line), column: Int(position.column))
    }
}
