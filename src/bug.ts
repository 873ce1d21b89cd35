/**
 * Stops on a broken invariant, which is a mistake in this package and not of its input. Never caught.
 * Xen: BUG_ON().
 */
export function bugOn(broken: boolean, what: () => string): asserts broken is false {
  if (broken) throw new Error(`BUG: ${what()}`);
}

/** The same where the caller has looked: on paths that run often, a closure for `bugOn` would be allocated each time. */
export function bug(what: string): never {
  throw new Error(`BUG: ${what}`);
}
