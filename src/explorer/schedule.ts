/**
 * Schedules as text: `pw1:5f2c9a:0x3,1x9,i1,0x2:k7`. The version, a hash of the scenario, the actors with how often each
 * goes in a row, and two characters that tell of slips in copying. `s3.7` in front of them says that operations on all of
 * the table in page 3 are split at entry 7.
 */
import type { Actor } from './actors.ts';
import type { Splits } from './ranges.ts';
import type { Scenario } from './scenario.ts';
import { mixA, mixB } from './state.ts';

const VERSION = 'pw1';
/** Steps of a schedule at most: more than any search goes. */
const MAX_STEPS = 1_000_000;
const DIGITS = '0123456789abcdefghjkmnpqrstvwxyz';

/** A schedule that is none, or that belongs to something else. */
export class ScheduleError extends Error {
  /** Always `ScheduleError`. */
  override readonly name: string = 'ScheduleError';
}

export function scheduleText(
  scenario: Scenario,
  actors: readonly Actor[],
  splits: Splits,
  schedule: readonly number[],
): string {
  const runs = [...splits].flatMap(([page, entries]) => entries.map((entry) => `s${page}.${entry}`));
  for (let at = 0; at < schedule.length; ) {
    let end = at + 1;
    while (end < schedule.length && schedule[end] === schedule[at]) end += 1;
    const { name } = actors[schedule[at]!]!;
    runs.push(end - at === 1 ? name : `${name}x${end - at}`);
    at = end;
  }
  const text = `${VERSION}:${scenarioHash(scenario)}:${runs.join(',')}`;
  return `${text}:${checkOf(text)}`;
}

/** @throws ScheduleError  where the text is no schedule, or one of another scenario */
export function parseSchedule(
  scenario: Scenario,
  actors: readonly Actor[],
  text: string,
): { readonly steps: readonly number[]; readonly splits: Splits } {
  const parts = text.trim().split(':');
  const [version, hash, runs, check] = parts;
  if (parts.length !== 4 || version !== VERSION || runs === undefined)
    throw new ScheduleError(`not a schedule: ${JSON.stringify(text)} (it looks like ${VERSION}:hash:0x3,1x9:check)`);
  if (check !== checkOf(`${version}:${hash}:${runs}`))
    throw new ScheduleError(`the schedule was not copied whole: ${text}`);
  if (hash !== scenarioHash(scenario))
    throw new ScheduleError(
      `the schedule belongs to another scenario than ${scenario.name}, or to another version of it`,
    );
  const splits = new Map<number, number[]>();
  const steps: number[] = [];
  for (const run of runs === '' ? [] : runs.split(',')) {
    const [, page, entry] = /^s(\d+)\.(\d+)$/.exec(run) ?? [];
    if (page === undefined) addRun(steps, actors, run);
    else splits.set(Number(page), [...(splits.get(Number(page)) ?? []), Number(entry)]);
  }
  return { steps, splits };
}

/** Whether a text is a schedule, copied whole, and of this scenario. */
export function isScheduleOf(scenario: Scenario, text: string): boolean {
  const [version, hash, runs, check, ...more] = text.trim().split(':');
  if (version !== VERSION || more.length > 0 || check !== checkOf(`${version}:${hash}:${runs}`)) return false;
  return hash === scenarioHash(scenario);
}

function addRun(steps: number[], actors: readonly Actor[], run: string): void {
  const [, name, times = '1'] = /^([a-z]?\d+)(?:x(\d+))?$/.exec(run) ?? [];
  const actor = actors.findIndex((one) => one.name === name);
  if (actor < 0) throw new ScheduleError(`the schedule names ${run}, and there is no such actor`);
  if (steps.length + Number(times) > MAX_STEPS)
    throw new ScheduleError(`the schedule has more than ${MAX_STEPS} steps`);
  for (let left = Number(times); left > 0; left--) steps.push(actor);
}

/** Changes with whatever makes schedules mean something else: machine, calls, walks. */
function scenarioHash(scenario: Scenario): string {
  const { name, machine = {}, hardware = {}, cpus, walks = [], warm = [], plant = '' } = scenario;
  const { assistedFlush, ...plain } = machine;
  const calls = cpus.map((operations) => operations.map((operation) => `${operation.name}${operation.irqsOff ?? ''}`));
  const text = JSON.stringify([name, plain, assistedFlush !== undefined, hardware, calls, walks, warm, plant]);
  return (hashOf(text) >>> 8).toString(16).padStart(6, '0');
}

function checkOf(text: string): string {
  const hash = hashOf(text);
  return DIGITS[hash & 31]! + DIGITS[(hash >>> 5) & 31]!;
}

function hashOf(text: string): number {
  let hash = 0;
  for (let at = 0; at < text.length; at++) hash = mixA(hash, mixB(at, text.charCodeAt(at)));
  return hash;
}
