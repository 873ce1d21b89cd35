/** `pagewalk xen`: one of Xen's mapping operations on the tables of an image, and what it changes. */
import type { BehaviourName } from '../hypervisor/behaviour.ts';
import { EINVAL, ENOMEM, type XenMm } from '../hypervisor/mm.ts';
import { AdoptedImage } from '../inspect/xen-machine.ts';
import { parseRequest, type XenRequest } from '../inspect/xen-request.ts';
import { XenSteps } from '../inspect/xen-steps.ts';
import { physicalText, stepJson, stepLines } from '../inspect/xen-text.ts';
import { hexNumber, PAGE_SIZE } from '../mmu/halves.ts';
import { UsageError } from './failure.ts';
import { openImageFile, type RawOptions } from './image-file.ts';
import { print } from './output.ts';
import { paint } from './paint.ts';
import { checkOutput, writeWhole } from './whole-file.ts';

export interface XenOptions extends RawOptions {
  readonly cpu: number | undefined;
  readonly behaviour: string;
  readonly heap?: string;
  readonly output?: string;
  readonly json?: boolean;
}

/** The operation returned an errno: it told so, as Xen's caller would hear. */
const EXIT_ERRNO = 1;

/** Returns the exit status. */
export async function xen(path: string, operation: string, operands: string[], options: XenOptions): Promise<number> {
  const request = parseRequest(operation, operands);
  const behaviour = behaviourOf(options.behaviour);
  const { heap, output, cpu = 0 } = options;
  if (output !== undefined) checkOutput(output);
  const image = await openImageFile(path, options);
  const adopted = new AdoptedImage(image, { cpu, behaviour, heap, tablesNeeded: request.tablesNeeded });
  adopted.checkRange(request.page, request.pages);
  const { mm } = adopted;
  const watch = new XenSteps(adopted.frames, adopted.root);
  mm.observer = watch;
  const result = apply(request, mm);
  mm.observer = null;
  if (output !== undefined) writeWhole(output, await adopted.container(`pagewalk xen: ${request.call}`));

  const outcome = { request, result: errnoText(result), adopted, watch, output };
  if (options.json === true) print(JSON.stringify(outcomeJson(outcome), null, 1));
  else for (const line of outcomeLines(outcome)) print(line);
  return result === 0 ? 0 : EXIT_ERRNO;
}

function behaviourOf(name: string): BehaviourName {
  if (name !== 'xen' && name !== 'pagewalk')
    throw new UsageError(`--behaviour is xen or pagewalk, not ${JSON.stringify(name)}`);
  return name;
}

/** What is an invariant of Xen's own tables need not hold in an image, where tables may be shared or lead back. */
function apply(request: XenRequest, mm: XenMm): number {
  try {
    return request.apply(mm);
  } catch (failure) {
    if (failure instanceof Error && failure.message.startsWith('BUG: '))
      throw new UsageError(`${request.call} breaks off, as Xen would with a ${failure.message}`);
    throw failure;
  }
}

interface Outcome {
  readonly request: XenRequest;
  readonly result: string;
  readonly adopted: AdoptedImage;
  readonly watch: XenSteps;
  readonly output: string | undefined;
}

const errnoText = (result: number): string =>
  result === -ENOMEM ? '-ENOMEM' : result === -EINVAL ? '-EINVAL' : `${result}`;

function* outcomeLines({ request, result, adopted, watch, output }: Outcome): Generator<string> {
  const { mm, heap } = adopted;
  yield paint.bold(request.call);
  for (const step of watch.steps) yield* stepLines(step, paint);
  if (watch.steps.length === 0) yield 'nothing changes';
  const done = mm.pagesDone === request.pages ? '' : `${mm.pagesDone} of `;
  const counts = [
    counted(mm.splits, 'split', 'splits'),
    counted(mm.coalesces, 'coalesce', 'coalesces'),
    counted(mm.flush.requests, 'flush', 'flushes'),
  ];
  yield `returns ${result}, ${done}${counted(request.pages, 'page', 'pages')} done: ${counts.join(', ')}`;
  const tables = `${watch.allocated.length} allocated, ${watch.freed.length} freed`;
  yield `tables: ${tables}; the heap is ${physicalText(heap.first)}-${physicalText(heap.end)}`;
  if (output !== undefined) yield `written to ${output}`;
}

const counted = (count: number, one: string, many: string): string => `${count} ${count === 1 ? one : many}`;

function outcomeJson({ request, result, adopted, watch, output }: Outcome): object {
  const { mm, heap } = adopted;
  const addresses = (frames: readonly number[]): string[] => frames.map((frame) => hexNumber(frame * PAGE_SIZE));
  return {
    call: request.call,
    result,
    pages: request.pages,
    pagesDone: mm.pagesDone,
    splits: mm.splits,
    coalesces: mm.coalesces,
    flushes: mm.flush.requests,
    allocated: addresses(watch.allocated),
    freed: addresses(watch.freed),
    heap: { start: hexNumber(heap.first * PAGE_SIZE), end: hexNumber(heap.end * PAGE_SIZE) },
    written: output ?? null,
    steps: watch.steps.map(stepJson),
  };
}
