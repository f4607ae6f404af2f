// SPDX-License-Identifier: GPL-2.0-or-later
internal import Dispatch
package import KnockEngine
internal import Synchronization

/// The workers of a daemon, one for each queue.
package struct WorkerGroup<Judge: Engine & ~Copyable>: Sendable {
    /// The time within which a thread must carry out a task, in seconds.
    ///
    /// After that, it counts as stuck.
    private static var patience: Double { 5 }

    let workers: [Worker<Judge>]

    package init(_ workers: [Worker<Judge>]) {
        self.workers = workers
    }

    /// Runs a task with each engine on its own thread, and waits until all are done.
    ///
    /// Must not be called on one of those threads.
    ///
    /// - Returns: Whether all workers were done in time.
    @discardableResult
    package func perform(_ task: @escaping @Sendable (inout Judge) -> Void) -> Bool {
        let group = DispatchGroup()
        for worker in workers {
            group.enter()
            worker.perform { engine in
                task(&engine)
                group.leave()
            }
        }
        return group.wait(timeout: .now() + Self.patience) == .success
    }

    /// Adds up a value of all engines.
    ///
    /// Engines that do not answer in time are left out.
    package func sum<Value: Sendable>(
        _ start: Value, _ add: @escaping @Sendable (inout Value, inout Judge) -> Void
    ) -> Value {
        let total = Total(start)
        perform { engine in
            total.value.withLock { value in add(&value, &engine) }
        }
        return total.value.withLock { $0 }
    }

    /// Adds up the counters of all engines, and the number of handshakes they remember.
    package func totals(
        _ handshakes: @escaping @Sendable (borrowing Judge) -> Int
    ) -> (counters: Counters, handshakes: Int) {
        sum((counters: Counters(), handshakes: 0)) { totals, engine in
            totals.counters.add(engine.counters)
            totals.handshakes += handshakes(engine)
        }
    }
}

/// A sum that several threads add to.
private final class Total<Value: Sendable>: Sendable {
    let value: Mutex<Value>

    init(_ start: Value) { value = Mutex(start) }
}
