/** An explained walk as JSON. */
import type { ExplainedWalk } from '../cpu/explain.ts';
import { hexOf, NOT_HELD, unheldStep } from '../cpu/walk-text.ts';
import type { Frame } from '../mmu/halves.ts';

export function walkJson(walk: ExplainedWalk, missing: ReadonlySet<Frame> = new Set()): object {
  const unheld = unheldStep(walk, missing);
  return {
    address: `0x${hexOf(walk.address)}`,
    mode: walk.mode,
    steps: walk.steps.map((step) => ({
      ...step,
      entryAddress: `0x${hexOf(step.entryAddress)}`,
      entry: step === unheld ? null : `0x${hexOf(step.entry)}`,
      outcome: step === unheld ? NOT_HELD : step.outcome,
      frame: step.frame === undefined ? null : `0x${step.frame.toString(16)}`,
    })),
    mapped: walk.physical !== undefined,
    vector: unheld === undefined ? walk.vector : null,
    errorCode: unheld === undefined ? walk.errorCode : null,
    summary: unheld === undefined ? walk.summary : NOT_HELD,
    physical: walk.physical === undefined ? null : `0x${hexOf(walk.physical)}`,
    pageSize: walk.pageSize,
    rights: walk.rights,
    patIndex: walk.patIndex,
  };
}
