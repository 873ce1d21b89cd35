import { describe, expect, it } from 'vitest';
import { map } from '../../src/explorer/calls.ts';
import { Explored } from '../../src/explorer/explored.ts';
import type { Splits } from '../../src/explorer/ranges.ts';
import { read, type Scenario } from '../../src/explorer/scenario.ts';
import { parseSchedule, ScheduleError, scheduleText } from '../../src/explorer/schedule.ts';
import { numbers } from '../support/tiny-programs.ts';

const scenario: Scenario = {
  name: 'schedules',
  about: '',
  hardware: { evictions: 1, storeBuffers: true },
  cpus: [[map(0, 7)], [map(1, 9)], []],
  walks: [[read(5)], [], [read(6)]],
};
const { actors } = new Explored(scenario);
const NONE: Splits = new Map();
const text = (steps: readonly number[], of: Scenario = scenario): string => scheduleText(of, actors, NONE, steps);

describe('schedules as text', () => {
  it('come back as they were', () => {
    const next = numbers(7);
    for (let round = 0; round < 200; round++) {
      const steps = Array.from({ length: next(60) }, () => next(actors.length));
      for (let at = 1; at < steps.length; at++) if (next(2) === 0) steps[at] = steps[at - 1]!;
      const splits: Splits = next(2) === 0 ? NONE : new Map([[3, [1, 7]]]);
      const parsed = parseSchedule(scenario, actors, scheduleText(scenario, actors, splits, steps));
      expect(parsed).toEqual({ steps, splits });
    }
  });

  it('name actors and how often each goes', () => {
    const w0 = actors.findIndex(({ name }) => name === 'w0');
    expect(text([0, 0, 1, w0, 0])).toMatch(/^pw1:[0-9a-f]{6}:0x2,1,w0,0:[0-9a-z]{2}$/);
  });

  it('that name more steps than anything goes are refused before there is an array of them', () => {
    const whole = text(new Array(1_000_001).fill(0));
    expect(whole).toMatch(/^pw1:[0-9a-f]{6}:0x1000001:[0-9a-z]{2}$/);
    expect(() => parseSchedule(scenario, actors, whole)).toThrow(ScheduleError);
    expect(parseSchedule(scenario, actors, text(new Array(1_000_000).fill(0))).steps).toHaveLength(1_000_000);
  });

  it('tell of slips in copying: of nearly every change of one character, and of a lost end', () => {
    const whole = text([0, 0, 1, 0, 1, 1, 1, 2, 2, 0]);
    let missed = 0;
    let slips = 0;
    for (let at = 0; at < whole.length; at++)
      for (const other of '0123456789abcdex,:')
        if (other !== whole[at]) {
          slips += 1;
          try {
            parseSchedule(scenario, actors, whole.slice(0, at) + other + whole.slice(at + 1));
            missed += 1;
          } catch (error) {
            expect(error).toBeInstanceOf(ScheduleError);
          }
        }
    expect(slips).toBeGreaterThan(500);
    expect(missed).toBeLessThan(slips / 100);
    for (let length = 0; length < whole.length; length++)
      expect(() => parseSchedule(scenario, actors, whole.slice(0, length))).toThrow(ScheduleError);
  });

  it.each<[string, Partial<Scenario>]>([
    ['another name', { name: 'other' }],
    ['another call', { cpus: [[map(0, 8)], [map(1, 9)], []] }],
    ['another walk', { walks: [[read(6)], [], [read(6)]] }],
    ['other hardware', { hardware: { evictions: 2, storeBuffers: true } }],
    ['another machine', { machine: { locking: 'pgdir' } }],
    ['a planted mistake', { plant: 'no-lock' }],
    ['other warm caches', { warm: [[read(5)]] }],
  ])('belong to one scenario: not to one with %s', (_name, changed) => {
    expect(() => parseSchedule({ ...scenario, ...changed }, actors, text([0, 1]))).toThrow(/another scenario/);
  });

  it('name no actor that is not there', () => {
    const more = [...actors, { kind: 'cpu', cpu: 9, name: '9' } as const];
    expect(() => parseSchedule(scenario, actors, scheduleText(scenario, more, NONE, [more.length - 1]))).toThrow(
      /no such actor/,
    );
  });
});
