/**
 * Xen's mapping operations on the tables of an image, one after the other, with the last one taken back on request: the
 * tables are adopted anew and the operations before it done again, which costs milliseconds and keeps no second truth.
 */
import type { Cpu } from '../cpu/cpu.ts';
import type { BehaviourName } from '../hypervisor/behaviour.ts';
import { EINVAL, ENOMEM } from '../hypervisor/mm.ts';
import type { Image } from '../image/image.ts';
import { cpuState } from '../image/open-image.ts';
import { UsageError } from '../inspect/usage-error.ts';
import { AdoptedImage } from '../inspect/xen-machine.ts';
import { parseRequest, type XenRequest } from '../inspect/xen-request.ts';
import { type XenStep, XenSteps } from '../inspect/xen-steps.ts';

/** Frames that new tables may take at most: 16 MiB. */
const TABLES = 4096;

/** What one operation did. */
export interface Done {
  readonly call: string;
  /** `0`, `-ENOMEM`, `-EINVAL`. */
  readonly result: string;
  readonly steps: readonly XenStep[];
  readonly splits: number;
  readonly coalesces: number;
  readonly flushes: number;
  readonly allocated: number;
  readonly freed: number;
}

export interface TableOptions {
  readonly cpu: number;
  readonly behaviour: BehaviourName;
  /** Where new tables may lie, `START-END` in hex; empty: in RAM that a container leaves free. */
  readonly heap: string;
}

export class ChangedTables {
  readonly #image: Image;
  readonly #options: TableOptions;
  readonly #requests: XenRequest[] = [];
  #adopted: AdoptedImage;
  readonly done: Done[] = [];

  /** UsageError or ImageError where these tables cannot be changed. */
  constructor(image: Image, options: TableOptions) {
    this.#image = image;
    this.#options = options;
    this.#adopted = this.#adopt();
  }

  /** Whose tables are changed, as a CPU that walks them. */
  get cpu(): Cpu {
    return this.#adopted.mm.cpu;
  }

  /** UsageError for what makes no sense, or would break an invariant of Xen's; nothing is changed then. */
  apply(operation: string, operands: readonly string[]): Done {
    const request = parseRequest(operation, operands);
    this.#adopted.checkRange(request.page, request.pages);
    try {
      const done = this.#run(request);
      this.#requests.push(request);
      this.done.push(done);
      return done;
    } catch (failure) {
      this.#again();
      if (failure instanceof Error && failure.message.startsWith('BUG: '))
        throw new UsageError(`${request.call} breaks off, as Xen would with a ${failure.message}`);
      throw failure;
    }
  }

  /** Takes the last operation back; nothing happens where there is none. */
  undo(): void {
    this.#requests.pop();
    this.done.pop();
    this.#again();
  }

  /** An image with the tables as they are now. UsageError where a table was freed that something still leads to. */
  container(): Promise<Uint8Array> {
    return this.#adopted.container(this.#requests.map(({ call }) => call).join('; '));
  }

  #again(): void {
    this.#adopted = this.#adopt();
    for (const request of this.#requests) this.#run(request);
  }

  #adopt(): AdoptedImage {
    const { cpu, behaviour, heap } = this.#options;
    const adopted = new AdoptedImage(this.#image, {
      cpu,
      behaviour,
      heap: heap === '' ? undefined : heap,
      tablesNeeded: TABLES,
    });
    adopted.mm.cpu.enter(cpuState(this.#image, cpu));
    return adopted;
  }

  #run(request: XenRequest): Done {
    const { mm, frames, root } = this.#adopted;
    const { splits, coalesces } = mm;
    const { requests } = mm.flush;
    const watch = new XenSteps(frames, root);
    mm.observer = watch;
    const result = request.apply(mm);
    mm.observer = null;
    return {
      call: request.call,
      result: result === -ENOMEM ? '-ENOMEM' : result === -EINVAL ? '-EINVAL' : `${result}`,
      steps: watch.steps,
      splits: mm.splits - splits,
      coalesces: mm.coalesces - coalesces,
      flushes: mm.flush.requests - requests,
      allocated: watch.allocated.length,
      freed: watch.freed.length,
    };
  }
}
