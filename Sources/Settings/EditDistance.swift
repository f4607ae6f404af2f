// SPDX-License-Identifier: GPL-2.0-or-later

/// Returns the number of characters that have to be added, removed, replaced or swapped with a neighbour to turn one
/// word into the other (the optimal string alignment distance).
func editDistance(_ one: String, _ other: String) -> Int {
    let one = Array(one)
    let other = Array(other)
    var beforeLast: [Int] = []
    var last = Array(0...other.count)
    for row in one.indices {
        var current = [row + 1]
        for column in other.indices {
            let replacing = last[column] + (one[row] == other[column] ? 0 : 1)
            var best = min(replacing, last[column + 1] + 1, current[column] + 1)
            if row > 0, column > 0, one[row] == other[column - 1], one[row - 1] == other[column] {
                best = min(best, beforeLast[column - 1] + 1)
            }
            current.append(best)
        }
        beforeLast = last
        last = current
    }
    return last[other.count]
}

/// Returns the word that was probably meant; nil if none differs in at most one character out of three.
func nearest(to word: String, among known: [String]) -> String? {
    // Flags are written with hyphens.
    let word = word.lowercased().split(separator: "-", omittingEmptySubsequences: false).joined(separator: "_")
    guard word.count <= 40 else { return nil }
    let distances = known.map { (name: $0, distance: editDistance(word, $0)) }
    guard let best = distances.min(by: { $0.distance < $1.distance }) else { return nil }
    return best.distance <= max(1, best.name.count / 3) ? best.name : nil
}
