/** Text in files comes from strangers: it is shown, and steers no terminal. */
import { describe, expect, it } from 'vitest';
import { containerOf, headerOf, record } from '../image/samples.ts';
import { newFolder, pagewalk, write } from '../support/command.ts';

const folder = newFolder();
const header = headerOf('xen-idle-6g');
const steering = '\u001b]0;title\u0007\u001b[2J\u009b31m\rname';
const image = write(
  folder,
  'steering.ptpages',
  containerOf(JSON.stringify({ ...header, name: steering, note: steering, pages: 1 }), record(0x46_e000)),
);

const controls = (text: string): string[] => text.match(/(?!\n)\p{Cc}/gu) ?? [];

describe('control characters in the header of an image', () => {
  it('are shown as replacement characters', () => {
    const { stdout, status } = pagewalk(['info', image]);
    expect(status).toBe(0);
    expect(stdout).toContain('\ufffd]0;title\ufffd\ufffd[2J\ufffd31m\ufffdname');
    expect(controls(stdout)).toEqual([]);
  });

  it('are escaped in JSON', () => {
    const { stdout } = pagewalk(['info', image, '--json']);
    expect(JSON.parse(stdout).name).toBe(steering.replace('\u009b', '\ufffd')); // JSON leaves those above 0x7f as they are
    expect(controls(stdout)).toEqual([]);
  });

  it('leave colours to those who ask for them', () => {
    const { stdout } = pagewalk(['info', image], { FORCE_COLOR: '1', NO_COLOR: '' });
    expect(stdout).toContain('\u001b[1m\ufffd]0;title');
  });
});
