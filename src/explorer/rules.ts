/**
 * What must hold while page tables are changed and walked at once: rules with a name, the kind of error that breaking one
 * is, and the invariant of the literature that each restates for x86 and Xen (docs/decisions/0009 says why as here).
 */

/** What kinds of error there are. */
export type ErrorKind =
  /** A CPU's code or a hardware walker uses a table after it was freed, or could. */
  | 'UseAfterFree'
  /** A CPU's code uses as a table what is none, or is another CPU's and not linked yet. */
  | 'WildAccess'
  | 'DoubleFree'
  /** A broken invariant that the code itself noticed. */
  | 'Bug'
  /** A translation outlives the operation that replaced it. */
  | 'StaleTranslation'
  | 'UnlockedWrite'
  /** Goes on as if everybody had dropped what it asked them to. */
  | 'MissingAck'
  /** A or D, set by hardware, is overwritten unseen. */
  | 'LostDirty'
  /** What an operation mapped is gone, though nothing unmapped it. */
  | 'LostUpdate'
  /** A walk would find neither what was mapped before nor what is mapped after. */
  | 'TornEntry'
  | 'Leak'
  | 'Deadlock'
  /** One address is cached in two sizes with different frames or attributes. */
  | 'MixedAttributes'
  /** What a scenario itself says is wrong in the end. */
  | 'WrongResult';

/** Something that must hold at each step. */
export interface Rule {
  /** What sort of mistake breaking it is. */
  readonly kind: ErrorKind;
  /** What must hold, in one sentence. */
  readonly text: string;
  /** Invariants I1 to I20 of the literature that it restates. */
  readonly restates: string;
}

const rule = (kind: ErrorKind, restates: string, text: string): Rule => ({ kind, restates, text });

/** The rules by name; `RULES` says what each of them is. */
export type RuleName =
  | 'free-table'
  | 'cached-table'
  | 'linked-table'
  | 'only-tables'
  | 'private-table'
  | 'freed-once'
  | 'one-parent'
  | 'filled-first'
  | 'well-formed'
  | 'no-bug'
  | 'owner-lock'
  | 'locks-dropped'
  | 'no-stale'
  | 'acknowledged'
  | 'before-or-after'
  | 'keeps-dirty'
  | 'one-size'
  | 'keeps-updates'
  | 'no-leak'
  | 'goes-on'
  | 'as-declared';

/** Every rule that the oracle judges. */
export const RULES: Readonly<Record<RuleName, Rule>> = {
  'free-table': rule('UseAfterFree', 'I1 I4', 'nobody reads or writes a table after it was freed'),
  'cached-table': rule('UseAfterFree', 'I4 I10', 'no structure cache leads to a table when it is freed'),
  'linked-table': rule('UseAfterFree', 'I3 I4', 'no entry leads to a table when it is freed'),
  'only-tables': rule('WildAccess', 'I1', 'mapping code reads and writes entries in tables only'),
  'private-table': rule('WildAccess', 'I5', 'a table that is not linked yet is used by the CPU that allocated it only'),
  'freed-once': rule('DoubleFree', 'I3 I19', 'a table is freed once'),
  'one-parent': rule('Bug', 'I2', 'a table below level 3 is linked by one entry'),
  'filled-first': rule('TornEntry', 'I5', 'a table is filled before it is linked'),
  'well-formed': rule('Bug', 'I6', 'a superpage is aligned to its size'),
  'no-bug': rule('Bug', 'I15', 'the code under test finds no broken invariant'),
  'owner-lock': rule('UnlockedWrite', 'I13 I14', 'an entry below level 4 is written under the lock that covers it'),
  'locks-dropped': rule('Deadlock', 'I13 I20', 'an operation ends with no lock held'),
  'no-stale': rule('StaleTranslation', 'I8 I9 I11', 'what an operation replaced is in no TLB when it ends'),
  acknowledged: rule('MissingAck', 'I11 I12', 'a table is freed, and an operation ends, after everybody acknowledged'),
  'before-or-after': rule('TornEntry', 'I16', 'a walk finds what was mapped before or what is mapped after'),
  'keeps-dirty': rule('LostDirty', 'I18', 'D that hardware set is not overwritten unseen'),
  'one-size': rule('MixedAttributes', 'I17', 'an address is not cached in two sizes that differ in more than size'),
  'keeps-updates': rule(
    'LostUpdate',
    'I7',
    'in the end, each page is mapped as the operations in some order would have it',
  ),
  'no-leak': rule('Leak', 'I3 I20', 'in the end, every table is linked or free'),
  'goes-on': rule('Deadlock', 'I20', 'as long as an operation has not ended, somebody can go on'),
  'as-declared': rule('WrongResult', 'I7', 'the machine ends as the scenario says'),
};

/** One breach of a rule. */
export interface Violation {
  /** The rule that was broken. */
  readonly rule: RuleName;
  /** Which frame, entry, page and CPUs; the same words for the same mistake in every schedule. */
  readonly what: string;
  /** Whose step it was; `nobody` where the machine cannot go on, or at the end. */
  readonly by: 'cpu' | 'hardware' | 'nobody';
  /** Frame of the table concerned. */
  readonly frame?: number;
}
