// SPDX-License-Identifier: Apache-2.0 OR MIT
import Dispatch

/// Runs what takes long on a thread that is neither the caller's nor one of the cooperative pool.
func background<T: Sendable>(_ work: @escaping @Sendable () throws -> T) async throws -> T {
    try await withCheckedThrowingContinuation { caller in
        DispatchQueue.global(qos: .userInitiated).async {
            caller.resume(with: Result(catching: work))
        }
    }
}
