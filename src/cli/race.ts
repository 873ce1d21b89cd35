/** `pagewalk race`: explores scenarios of page-table races, and shows the traces of what goes wrong. */
import { readFileSync } from 'node:fs';
import { type Declared, mismatches, searchFor, type Variant } from '../explorer/declared.ts';
import {
  type ExploreOptions,
  explore,
  type FoundFailure,
  mergeOutcomes,
  type Outcome,
  replay,
} from '../explorer/explore.ts';
import { coverageLine, failureLines, outcomeJson, traceLines } from '../explorer/report.ts';
import { SCENARIOS, scenarioNamed, variantOf } from '../explorer/scenarios/all.ts';
import { ScheduleError } from '../explorer/schedule.ts';
import type { Trace } from '../explorer/trace.ts';
import { EXIT_MISMATCH, FileError, UsageError } from './failure.ts';
import { endProgress, print, progress } from './output.ts';
import { paint } from './paint.ts';
import { mustGoWith, type RaceOptions, searchOptions } from './race-options.ts';

interface Explored {
  readonly declared: Declared;
  readonly variant: Variant;
  readonly outcome: Outcome;
  /** Why it is not as declared. */
  readonly wrong: readonly string[];
}

/** Returns the exit status. */
export function race(names: readonly string[], options: RaceOptions): number {
  if (options.merge === true) {
    mustGoWith('--merge', options, 'merge');
    return merge(names, options);
  }
  if (options.all !== true && names.length === 0) {
    mustGoWith('the list of scenarios', options);
    return list(options);
  }
  if (options.all === true && names.length > 0) throw new UsageError('--all explores every scenario: name none');
  const chosen = options.all === true ? SCENARIOS : names.map(named);
  if (options.replay !== undefined) {
    mustGoWith('--replay', options, 'replay', 'all', 'variant');
    return replayOne(chosen, options.replay, options);
  }
  const search = searchOptions(options);
  const explored = chosen.flatMap((declared) =>
    variantsOf(declared, options).map((variant) => run(declared, variant, search)),
  );
  endProgress();
  return report(explored, options.json === true, options.all === true);
}

function report(explored: readonly Explored[], isJson: boolean, isBrief: boolean): number {
  if (isJson) print(JSON.stringify(explored.map(exploredJson), null, 1));
  else tell(explored, isBrief);
  return explored.every(({ wrong }) => wrong.length === 0) ? 0 : EXIT_MISMATCH;
}

const named = (name: string): Declared => asked(() => scenarioNamed(name));

/** What was asked for by a name; UsageError where there is no such thing. */
function asked<T>(find: () => T): T {
  try {
    return find();
  } catch (failure) {
    throw new UsageError((failure as Error).message);
  }
}

function variantsOf({ name, variants }: Declared, { variant }: RaceOptions): readonly Variant[] {
  if (variant === undefined) return variants;
  return [asked(() => variantOf(name, variant))];
}

function run(declared: Declared, variant: Variant, search: ExploreOptions): Explored {
  const outcome = explore(variant.scenario, {
    ...searchFor(variant),
    ...search,
    onProgress: ({ states, events, depth }) =>
      progress(
        () =>
          `${declared.name}, ${variant.label}: ${states.toLocaleString('en')} states, ${events.toLocaleString('en')} events, depth ${depth}`,
      ),
  });
  // A part, random schedules or another bound than the declared one cannot show all that is declared.
  const isWhole = search.mode === undefined && search.shard === undefined;
  const wrong =
    isWhole || variant.finds.length === 0
      ? mismatches(variant, outcome).filter((why) => isWhole || why !== 'not every schedule was seen')
      : [];
  return { declared, variant, outcome, wrong };
}

function list({ json }: RaceOptions): number {
  if (json === true)
    print(
      JSON.stringify(
        SCENARIOS.map(({ name, title, about, status, variants }) => ({
          name,
          title,
          about,
          status,
          variants: variants.map(({ label, finds }) => ({ label, finds })),
        })),
        null,
        1,
      ),
    );
  else {
    const width = Math.max(...SCENARIOS.map(({ name }) => name.length));
    for (const { name, title, status } of SCENARIOS)
      print(`${paint.bold(name.padEnd(width))}  ${status.padEnd(6)}  ${title}`);
    print('');
    print(
      'pagewalk race NAME explores one, --all all of them; closed: by the fix of XSA-345; better: open in Xen, closed here',
    );
  }
  return 0;
}

function tell(explored: readonly Explored[], isBrief: boolean): void {
  let last: Declared | undefined;
  for (const { declared, variant, outcome, wrong } of explored) {
    if (declared !== last) {
      print(paint.bold(`${declared.name}: ${declared.title}`));
      if (!isBrief) for (const line of folded(declared.about)) print(line);
    }
    last = declared;
    const kinds = [...new Set(outcome.failures.map(({ kind }) => kind))].sort().join(', ');
    const verdict =
      wrong.length > 0
        ? paint.red(`NOT AS DECLARED: ${wrong.join(', ')}`)
        : kinds === ''
          ? paint.green('clean')
          : `found: ${kinds}`;
    print(`${isBrief ? '' : '\n'}  ${variant.label}: ${verdict}`);
    print(`    ${coverageLine(outcome.coverage)}`);
    if (!isBrief) for (const failure of oneOfEachKind(outcome)) tellFailure(declared, variant, failure);
  }
  const off = explored.filter(({ wrong }) => wrong.length > 0).length;
  print('');
  print(
    off === 0 ? `${explored.length} variants, all as declared` : `${explored.length} variants, ${off} not as declared`,
  );
}

function tellFailure({ name }: Declared, { label, scenario }: Variant, failure: FoundFailure): void {
  print('');
  for (const line of failureLines(failure)) print(`    ${line}`);
  print(`    again: pagewalk race ${name} --variant '${label}' --replay ${failure.schedule}`);
  print(`    in code: replay(variantOf('${name}', '${label}').scenario, '${failure.schedule}')`);
  for (const line of traceLines(replay(scenario, failure.schedule))) print(`    ${line}`);
}

/** The cheapest failure of each kind, and of each kind of culprit; they come sorted. */
function oneOfEachKind({ failures }: Outcome): FoundFailure[] {
  const seen = new Set<string>();
  return failures.filter(({ kind, by }) => {
    const key = `${kind} ${by}`;
    const isNew = !seen.has(key);
    seen.add(key);
    return isNew;
  });
}

function replayOne(chosen: readonly Declared[], schedule: string, options: RaceOptions): number {
  const [declared] = chosen;
  if (declared === undefined || chosen.length > 1) throw new UsageError('--replay goes with one scenario');
  const variants = variantsOf(declared, options);
  let trace: Trace | undefined;
  let why = '';
  for (const { scenario } of variants) {
    try {
      trace ??= replay(scenario, schedule);
    } catch (failure) {
      if (!(failure instanceof ScheduleError)) throw failure;
      why = failure.message;
    }
  }
  if (trace === undefined) throw new UsageError(why);
  if (options.json === true) print(JSON.stringify(trace, null, 1));
  else for (const line of traceLines(trace)) print(line);
  return trace.violations.length === 0 ? 0 : EXIT_MISMATCH;
}

/** Puts together what several parts printed with --json. */
function merge(files: readonly string[], { json }: RaceOptions): number {
  if (files.length === 0) throw new UsageError('--merge takes the files that --json --shard runs printed');
  const parts = files.map(partsOf);
  const keys = new Set(parts.flatMap((part) => [...part.keys()]));
  const merged = [...keys].map((key): Explored => {
    const outcome = mergeOutcomes(parts.flatMap((part) => part.get(key) ?? []));
    const [name, label] = key.split('\n') as [string, string];
    const variant = asked(() => variantOf(name, label));
    return { declared: named(name), variant, outcome, wrong: mismatches(variant, outcome) };
  });
  return report(merged, json === true, true);
}

function partsOf(path: string): ReadonlyMap<string, Outcome> {
  try {
    const parts = JSON.parse(readFileSync(path, 'utf8')) as ReturnType<typeof exploredJson>[];
    return new Map(
      parts.map(({ name, variant, scenario, coverage, failures }) => {
        mergeOutcomes([{ scenario, coverage, failures }]); // throws where they are something else
        if (typeof coverage.states !== 'number' || coverage.machine === undefined) throw new TypeError('no coverage');
        return [`${name}\n${variant}`, { scenario, coverage, failures }];
      }),
    );
  } catch (failure) {
    if ((failure as NodeJS.ErrnoException).code !== undefined) throw failure;
    throw new FileError(path, 'is not what `pagewalk race --json` prints');
  }
}

const exploredJson = ({
  declared,
  variant,
  outcome,
  wrong,
}: Explored): Outcome & { readonly name: string; readonly variant: string } & Record<string, unknown> => ({
  name: declared.name,
  variant: variant.label,
  declared: variant.finds,
  wrong,
  ...(outcomeJson(outcome) as Outcome),
});

/** Text in lines of 110 characters, broken between words. */
function folded(text: string): string[] {
  const lines = [''];
  for (const word of text.split(' '))
    if (`${lines.at(-1)} ${word}`.length > 110) lines.push(word);
    else lines[lines.length - 1] = `${lines.at(-1)} ${word}`.trim();
  return lines;
}
