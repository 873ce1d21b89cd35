/**
 * What one simulated CPU runs: plain synchronous code, called again and again.
 *
 * Code is deterministic in the outcomes of its operations. So everything about it that matters between two operations is
 * the log of outcomes since its operation began, and logs form a tree: a node is a log, and knows which operation comes
 * next. Where a node's next operation is known, its code need not run at all; where it is not, the code is executed again
 * against the log, and unwound at the next operation by a thrown sentinel. Each log is executed once, however many
 * schedules lead to it.
 */
import type { Operation } from '../mmu/seam.ts';
import type { Footprint } from './footprint.ts';

/** What comes next in a program's operation. */
export type Pending =
  /** Not known yet. */
  | 'unknown'
  /** An operation of the seam. */
  | 'operation'
  /** The end, with a result. */
  | 'end'
  /** A broken invariant. */
  | 'thrown';

/** A log of outcomes, as the last of them and the log before it. */
export class LogNode {
  readonly id: number;
  readonly parent: LogNode | undefined;
  /** The outcome that led here. */
  readonly value: number;
  readonly frame: number;
  readonly depth: number;

  pending: Pending = 'unknown';
  operation: Operation = 'read';
  a = 0;
  b = 0;
  c = 0;
  d = 0;
  /** Of the pending operation, once it was asked for. */
  footprint: Footprint | undefined = undefined;
  /** What the operation needs besides its numbers: of a fill, the walk that it keeps. */
  detail: unknown = undefined;
  /** Where in the code it stands, where that was asked for. */
  site: string | undefined = undefined;
  /** Of the end, or of what was thrown. */
  result = 0;
  message = '';
  /** Whether some child is the end of the operation. */
  mayEnd = false;
  /** Shootdowns and grace periods begun in this log. */
  proofs = 0;
  readonly children: LogNode[] = [];

  constructor(id: number, parent: LogNode | undefined, value: number, frame: number) {
    this.id = id;
    this.parent = parent;
    this.value = value;
    this.frame = frame;
    this.depth = parent === undefined ? 0 : parent.depth + 1;
  }

  /** The log with one more outcome, if it is known. */
  child(value: number, frame: number): LogNode | undefined {
    for (const child of this.children) if (child.value === value && child.frame === frame) return child;
    return undefined;
  }

  /** The outcomes of the log, in order. */
  log(): LogNode[] {
    const log: LogNode[] = new Array(this.depth);
    for (let node: LogNode = this; node.parent !== undefined; node = node.parent) log[node.depth - 1] = node;
    return log;
  }
}

/** All logs of all programs of one exploration, by number. */
export class Logs {
  readonly nodes: LogNode[] = [];

  add(parent: LogNode | undefined, value: number, frame: number): LogNode {
    const node = new LogNode(this.nodes.length, parent, value, frame);
    if (parent !== undefined) {
      parent.children.push(node);
      node.proofs = parent.proofs;
    }
    this.nodes.push(node);
    return node;
  }

  /** The log that one more outcome of a pending operation makes. */
  after(node: LogNode, value: number, frame: number): LogNode {
    const known = node.child(value, frame);
    if (known !== undefined) return known;
    const made = this.add(node, value, frame);
    if (node.operation === 'shootdown' || node.operation === 'graceBegin') made.proofs = node.proofs + 1;
    return made;
  }
}
