/** The first line of a corpus of JSON lines: which format it is, and whether of a version that is known here. */
import { UsageError } from '../failure.ts';

/** Formats and the version of each that is read. Access vectors carry theirs in the name: docs/corpora.md. */
const VERSIONS = { 'mmu-oracle': 1, 'xen-map-trace': 1, 'xen-mm-trace': 1 } as const;

export type CorpusFormat = keyof typeof VERSIONS;

/** Undefined where the line is the header of no corpus; UsageError where it is one of another version, or of none. */
export function corpusFormat(line: string): CorpusFormat | undefined {
  const header = parsed(line);
  const name = header?.format;
  if (typeof name !== 'string') return undefined;
  const vectors = /^mmu-oracle-(\d+)$/.exec(name);
  const format = vectors === null ? name : 'mmu-oracle';
  if (!isKnown(format) || name === 'mmu-oracle') return undefined;
  const version = vectors === null ? header?.version : Number(vectors[1]);
  if (version !== VERSIONS[format])
    throw new UsageError(`${format} of ${versionText(version)}; this package reads version ${VERSIONS[format]}`);
  return format;
}

const isKnown = (format: string): format is CorpusFormat => Object.hasOwn(VERSIONS, format);

const versionText = (version: unknown): string =>
  version === undefined ? 'no version' : `version ${JSON.stringify(version).slice(0, 60)}`;

function parsed(line: string): { readonly format?: unknown; readonly version?: unknown } | null {
  try {
    return JSON.parse(line) as { format?: unknown; version?: unknown } | null;
  } catch {
    return null;
  }
}
