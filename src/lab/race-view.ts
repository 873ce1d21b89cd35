/** The Race view: a scenario's schedules, step by step, with the oracle looking on. */
import { type ComponentChild, h } from 'preact';
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import type { Variant } from '../explorer/declared.ts';
import { SCENARIOS, scenarioNamed, variantOf } from '../explorer/scenarios/all.ts';
import { Problem, SelectField } from './controls.ts';
import { type Running, startJob } from './jobs.ts';
import { Choices } from './race-choices.ts';
import { Endings } from './race-endings.ts';
import { Lanes } from './race-lanes.ts';
import { loadText } from './race-load.ts';
import { LoadForm } from './race-load-form.ts';
import { Panels } from './race-panels.ts';
import { RaceRun } from './race-run.ts';
import type { ExploredVariant, StartRace } from './start.ts';

export interface RaceViewProps {
  readonly start: StartRace | undefined;
}

const keyOf = (name: string, variant: string): string => `${name}\n${variant}`;
const byKey = (all: readonly ExploredVariant[]): ReadonlyMap<string, ExploredVariant> =>
  new Map(all.map((one) => [keyOf(one.name, one.variant), one]));

export function RaceView({ start }: RaceViewProps): ComponentChild {
  const [name, setName] = useState(start?.name ?? 'xsa-345');
  const declared = scenarioNamed(name);
  const [variant, setVariant] = useState<Variant>(declared.variants[0]!);
  const [run, setRun] = useState(() => new RaceRun(variant));
  const [at, setAt] = useState(0);
  /** Goes up where the run changed its schedule. */
  const [version, setVersion] = useState(0);
  const [explored, setExplored] = useState(() => byKey(start?.explored ?? []));
  const [progress, setProgress] = useState<string>();
  const [problem, setProblem] = useState('');
  const [note, setNote] = useState('');
  const job = useRef<Running<ExploredVariant>>();

  const standing = useMemo(() => run.standAt(at), [run, at, version]);
  const found = explored.get(keyOf(name, variant.label));

  const show = (made: RaceRun, step: number, said = ''): void => {
    setRun(made);
    setAt(Math.min(step, made.length));
    setVersion((before) => before + 1);
    setProblem('');
    setNote(said);
  };
  const choose = (scenario: string, chosen: Variant, schedule?: string): void => {
    try {
      // Operations on whole tables are split as a search has found that they must be.
      const known = schedule ?? explored.get(keyOf(scenario, chosen.label))?.failures[0]?.schedule;
      const made = new RaceRun(chosen, known);
      if (schedule === undefined) made.clear();
      setName(scenario);
      setVariant(chosen);
      show(made, schedule === undefined ? 0 : made.length);
    } catch (failure) {
      setProblem((failure as Error).message);
    }
  };
  const explore = (): void => {
    setProgress('exploring…');
    job.current = startJob<ExploredVariant>({ job: 'explore', name, variant: variant.label }, setProgress);
    job.current.result
      .then(
        (result) => setExplored((before) => new Map([...before, [keyOf(result.name, result.variant), result]])),
        (failure: Error) => setProblem(failure.message),
      )
      .then(() => setProgress(undefined));
  };
  useEffect(() => {
    if (start === undefined) explore(); // its endings are what people come for
    return () => job.current?.stop();
  }, []);
  const stop = (): void => {
    job.current?.stop();
    setProgress(undefined);
  };
  const withFix = (label: string): void => {
    const fixed = new RaceRun(variantOf(name, label));
    const passed = fixed.follow(run.actors);
    setVariant(fixed.variant);
    show(
      fixed,
      fixed.length,
      `The same turns with ${label}: ${passed} of ${run.length} could not be taken, since their CPU had to wait.`,
    );
  };
  const load = (text: string): void => {
    try {
      const loaded = loadText(text);
      if (loaded.schedule !== undefined) {
        choose(loaded.of.name, loaded.of.variant, loaded.schedule);
        return;
      }
      setExplored((before) => new Map([...before, ...byKey(loaded.explored)]));
      const one = loaded.explored.find(({ failures }) => failures.length > 0) ?? loaded.explored[0]!;
      choose(one.name, variantOf(one.name, one.variant), one.failures[0]?.schedule);
    } catch (failure) {
      setProblem((failure as Error).message);
    }
  };
  const changed = (action: () => void, step: (made: RaceRun) => number): void => {
    action();
    show(run, step(run));
  };

  return h(
    'div',
    { class: 'view', id: 'race' },
    h(
      'div',
      { class: 'row' },
      h(SelectField, {
        id: 'scenario',
        label: 'Scenario',
        value: name,
        onValue: (value: string) => choose(value, scenarioNamed(value).variants[0]!),
        options: SCENARIOS.map((one) => [one.name, one.name] as const),
      }),
      h(SelectField, {
        id: 'variant',
        label: 'variant',
        value: variant.label,
        onValue: (label: string) => choose(name, variantOf(name, label)),
        options: declared.variants.map(({ label }) => [label, label] as const),
      }),
      progress === undefined
        ? h('button', { id: 'explore', onClick: explore }, 'Explore every schedule')
        : h('button', { id: 'stop', onClick: stop }, 'Stop'),
      progress !== undefined && h('span', { class: 'faint', 'aria-live': 'polite' }, progress),
    ),
    h('details', null, h('summary', null, declared.title), h('p', null, declared.about)),
    h(Endings, {
      found,
      onShow: (schedule: string) => choose(name, variant, schedule),
    }),
    h(LoadForm, { onLoad: load }),
    h(Problem, { text: problem }),
    h(
      'div',
      { class: 'row', role: 'group', 'aria-label': 'Steps' },
      h('button', { id: 'first', title: 'To the beginning', onClick: () => setAt(0), disabled: at === 0 }, '|◀'),
      h('button', { id: 'back', onClick: () => setAt(at - 1), disabled: at === 0 }, '◀ Back'),
      h('span', { id: 'step' }, `step ${at} of ${run.length}`),
      h('button', { id: 'forward', onClick: () => setAt(at + 1), disabled: at >= run.length }, 'Forward ▶'),
      h(
        'button',
        { id: 'last', title: 'To the end', onClick: () => setAt(run.length), disabled: at >= run.length },
        '▶|',
      ),
      declared.variants.some(({ label }) => label === 'l3') &&
        variant.label !== 'l3' &&
        run.length > 0 &&
        h('button', { id: 'with-fix', onClick: () => withFix('l3') }, 'The same turns with the fix'),
    ),
    note !== '' && h('p', { id: 'note' }, note),
    h(
      'div',
      { id: 'oracle', 'aria-live': 'assertive' },
      standing.verdicts.map((verdict) => h('p', { key: verdict, class: 'bad' }, verdict)),
      standing.hasEnded &&
        standing.verdicts.length === 0 &&
        h('p', { class: 'good' }, 'This is the end, and no rule was broken.'),
    ),
    h(
      'div',
      { class: 'race' },
      h(Lanes, { rows: run.rows, cpus: run.cpus, at, length: run.length, onGo: setAt }),
      h(Choices, {
        choices: standing.choices,
        isOver: standing.hasEnded,
        onChoose: (actor: number) =>
          changed(
            () => run.choose(at, actor),
            () => at + 1,
          ),
        onRunToEnd: () =>
          changed(
            () => run.runToEnd(at),
            (made) => made.length,
          ),
      }),
    ),
    h('p', null, 'Schedule: ', h('code', { id: 'schedule' }, run.schedule)),
    h(Panels, { state: standing.state, before: standing.before }),
  );
}
