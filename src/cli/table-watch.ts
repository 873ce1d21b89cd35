/** What a command tells of the tables of an image: progress while they are read, then how many are missing. */
import type { Frame } from '../mmu/halves.ts';
import { complain, flush, progress } from './output.ts';

/** An option of `openCpu`, and with `enters` one of whatever reads tables. */
export class TableWatch {
  /** Frames that tables or CR3 point to and that the image does not hold. */
  readonly missing: Set<Frame> = new Set();
  #read = 0;

  readonly enters = (): boolean => {
    this.#read += 1;
    progress(() => `tables read: ${this.#read}`);
    return true;
  };

  /** One line, where tables are missing. */
  note(): void {
    const { size } = this.missing;
    if (size === 0) return;
    flush();
    const what = size === 1 ? '1 table is' : `${size} tables are`;
    complain(`${what} not in the image; what would be mapped there is left out`);
  }
}
