import type { Walker } from '../mmu/walk.ts';

/** What a walk found, kept for the operation that fills the caches with it. */
export type KeptWalk = Pick<Walker, 'top' | 'level' | 'rights' | 'pageFrame' | 'tables' | 'rightsSoFar'>;

export const keepWalk = ({ top, level, rights, pageFrame, tables, rightsSoFar }: Walker): KeptWalk => ({
  top,
  level,
  rights,
  pageFrame,
  tables: tables.slice(),
  rightsSoFar: rightsSoFar.slice(),
});
