import type { Operation, SeamObserver } from '../../src/mmu/seam.ts';

/** An observer that is told of each operation before it happens, and changes nothing. */
export const watching = (before: (operation: Operation, a: number, b: number) => void): SeamObserver => ({
  enter: (operation, a, b) => {
    before(operation, a, b);
    return false;
  },
  leave() {},
  value: 0,
  frame: 0,
});
