/** What the fix of XSA-345 does not cover: found where it is left in Xen, and not where this mapping layer does better. */
import { describe, expect, it } from 'vitest';
import { pageAt } from '../../src/explorer/calls.ts';
import { read } from '../../src/explorer/scenario.ts';
import { BEYOND_THE_FIX } from '../../src/explorer/scenarios/beyond-the-fix.ts';
import { explore, withAnotherCpu } from '../support/declared.ts';

const VARIANTS = BEYOND_THE_FIX.flatMap(({ name, variants }) =>
  variants.map((variant) => ({ name, label: variant.label, variant })),
);

describe('beyond the fix of XSA-345', () => {
  it.each(VARIANTS)('$name, $label: exactly what is declared is found', ({ variant }) => {
    const { kinds, truncated } = explore(variant);
    expect({ kinds, truncated }).toEqual({ kinds: [...variant.finds].sort(), truncated: undefined });
  });

  it('what is better is wrong in Xen, and here clean or refused by an assertion', () => {
    const better = BEYOND_THE_FIX.filter(({ status }) => status === 'better').flatMap(({ name, variants }) =>
      [variants.filter(({ label }) => label === 'xen'), variants.filter(({ label }) => label === 'pagewalk')].map(
        (some) => `${name}: ${some.map(({ finds }) => finds.join()).join(' ')}`,
      ),
    );
    expect(better).toEqual([
      'u4: StaleTranslation',
      'u4: ',
      'u5: StaleTranslation',
      'u5: ',
      'u6: MixedAttributes',
      'u6: ',
      'u10: Deadlock',
      'u10: Bug',
      'u11: Deadlock',
      'u11: Bug',
      'u18: WrongResult',
      'u18: ',
    ]);
  });

  it.each([
    ['u1', 'interrupts on', 'CPU 1 reads a table that is free'],
    ['u2', 'the hypervisor below flushes', 'CPU 1 reads a table that is free'],
    ['u5', 'xen', 'CPU 2 still translates page 0x830000000 (4K) to frame 0x200 when an operation of CPU 1 ends'],
    ['u10', 'xen', 'CPU 0 waits in acknowledge, CPU 1 waits in lock'],
  ])('%s, %s: it is found for the reason that is told', (name, label, text) => {
    const { variant } = VARIANTS.find((one) => one.name === name && one.label === label)!;
    expect(explore(variant).texts).toEqual([text]);
  });
});

describe.runIf(process.env['PAGEWALK_LONG'] === '1')('beyond the fix, and one more CPU walks', () => {
  const walked = VARIANTS.filter(({ label, variant }) => variant.finds.length === 0 && !label.includes('only CPU'));
  it.each(walked)('$name, $label: nothing is found', ({ variant }) => {
    const scenario = withAnotherCpu(variant.scenario, read(pageAt(0)), read(pageAt(0)));
    const { kinds, truncated } = explore({ scenario }, 10_000_000);
    expect({ kinds, truncated }).toEqual({ kinds: [], truncated: undefined });
  });
});
