/** `pagewalk report`: the lab in one file, with an image or a scenario inside. */
import { existsSync } from 'node:fs';
import { basename } from 'node:path';
import { type Declared, searchFor } from '../explorer/declared.ts';
import { explore } from '../explorer/explore.ts';
import { outcomeJson } from '../explorer/report.ts';
import { SCENARIOS } from '../explorer/scenarios/all.ts';
import { tablesOnly } from '../inspect/tables-only.ts';
import { UsageError } from './failure.ts';
import { openImageFile, type RawOptions, refuseRawOptions } from './image-file.ts';
import { selfContainedPage } from './lab-files.ts';
import { print } from './output.ts';
import { checkOutput, writeWhole } from './whole-file.ts';

export interface ReportOptions extends RawOptions {
  readonly output?: string;
}

/** An image is a file; a scenario a name that no file has. Returns the exit status. */
export async function report(what: string, options: ReportOptions): Promise<number> {
  const { output } = options;
  if (output === undefined) throw new UsageError('report needs -o FILE.html');
  checkOutput(output);
  const declared = existsSync(what) ? undefined : SCENARIOS.find(({ name }) => name === what);
  if (declared !== undefined) refuseRawOptions(options);
  const start =
    declared === undefined
      ? { image: { title: basename(what), base64: await imageText(what, options) } }
      : { race: raceOf(declared) };
  const page = selfContainedPage(start);
  writeWhole(output, page);
  print(`written to ${output} (${Math.ceil(page.length / 1024)} KiB)`);
  return 0;
}

async function imageText(path: string, options: RawOptions): Promise<string> {
  const bytes = await tablesOnly(await openImageFile(path, options));
  return Buffer.from(bytes).toString('base64');
}

/** A scenario with what exploring each of its variants found. */
const raceOf = ({ name, variants }: Declared): object => ({
  name,
  explored: variants.map((variant) => ({
    name,
    variant: variant.label,
    ...outcomeJson(explore(variant.scenario, searchFor(variant))),
  })),
});
