/** The matchers for Vitest: they pass and fail as the assertions do, also negated, and have types. */
import { describe, expect, it } from 'vitest';
import { Machine, PF_WR, WRITE } from '../../src/index.ts';
import { PageTables } from '../../src/testing/index.ts';
import { matchers } from '../../src/testing/vitest.ts';

expect.extend(matchers);

const { host, cpus } = new Machine({ memory: { size: 4 << 20 } });
const cpu = cpus[0]!;
cpu.enter(new PageTables(host).map(0x1000, 0x5000, { flags: 'P US' }).state());
const RUN = { linear: 0x1000, physical: 0x5000, sizeBytes: 4096, rights: 'ur-x' };

function messageOf(run: () => void): string {
  try {
    run();
  } catch (thrown) {
    return (thrown as Error).message;
  }
  throw new Error('the matcher passed');
}

describe('matchers', () => {
  it('pass', () => {
    expect(cpu).toTranslate(0x1234, 0x5234, { pageSize: 4096 });
    expect(cpu).toTranslate(0x1234);
    expect(cpu).toFault(0x2000, { errorCode: PF_WR }, { access: WRITE });
    expect(cpu).toMap([RUN]);
    expect(cpu).not.toTranslate(0x2000);
    expect(cpu).not.toTranslate(0x1000, 0x6000);
    expect(cpu).not.toFault(0x1000);
    expect(cpu).not.toMap([]);
  });

  it('fail with the walk in their message', () => {
    const message = messageOf(() => expect(cpu).toTranslate(0x1000, 0x6000));
    expect(message).toContain(
      'read of 0000000000001000: expected a translation to 0000000000006000, found 0000000000005000',
    );
    expect(message).toContain('  PTE      1 at 0000000000103008');
    expect(messageOf(() => expect(cpu).toFault(0x1000))).toContain('expected #PF, found 0000000000005000');
    expect(messageOf(() => expect(cpu).toMap([{ ...RUN, rights: 'urwx' }]))).toContain(
      'expected 0000000000005000 urwx',
    );
  });

  it('fail negated, and say so', () => {
    expect(messageOf(() => expect(cpu).not.toTranslate(0x1000, 0x5000))).toContain(
      'expected anything but a translation to 0000000000005000',
    );
    expect(messageOf(() => expect(cpu).not.toFault(0x2000))).toContain('expected anything but #PF, found #PF');
    expect(messageOf(() => expect(cpu).not.toMap([RUN]))).toContain('expected tables that map something else than');
  });

  it('are typed', () => {
    // tsc checks these; they are not run.
    const types = (): void => {
      // @ts-expect-error: an address is missing
      expect(cpu).toTranslate();
      // @ts-expect-error: no such option
      expect(cpu).toFault(0x1000, { code: 1 });
      // @ts-expect-error: a list of runs
      expect(cpu).toMap(RUN);
    };
    expect(types).toBeTypeOf('function');
  });
});
