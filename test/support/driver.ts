/**
 * What test suites speak to: our CPU, the oracle, and whatever else can play an MMU. Values are bigints, since oracles are
 * written in them; nothing here is fast.
 */
export type Mode = 'none' | '32-bit' | 'pae' | '4-level' | '5-level';

export interface CpuModel {
  readonly vendor: 'intel' | 'amd';
  readonly maxPhyAddr: number;
  readonly pse: boolean;
  readonly pse36: boolean;
  readonly nx: boolean;
  readonly page1gb: boolean;
  readonly la57: boolean;
}

/** Control state. CR0.PG, CR4.PAE, EFER.LME and CR4.LA57 say the mode. */
export interface State {
  readonly cr0: bigint;
  readonly cr3: bigint;
  readonly cr4: bigint;
  readonly efer: bigint;
  readonly pkru: number;
  readonly pkrs: number;
}

export type Kind = 'read' | 'write' | 'rmw' | 'fetch' | 'implicit-read' | 'implicit-write';

export interface Access {
  readonly va: bigint;
  readonly kind: Kind;
  /** 1, 2, 4 or 8. */
  readonly size: number;
  readonly cpl: number;
  readonly ac: number;
  /** Through SS. */
  readonly stack: boolean;
  /** What a write stores. */
  readonly value: bigint;
}

export type Outcome =
  | { readonly ok: true; readonly pa: bigint; readonly pa2: bigint | undefined; readonly value: bigint }
  | { readonly ok: false; readonly vector: string; readonly code: number; readonly cr2: bigint | undefined };

export interface MmuDriver {
  /** Takes over a state, caches empty. False where PAE PDPTEs are refused. */
  configure(model: CpuModel, state: State): boolean;
  /** All memory zero again. */
  clear(): void;
  poke(pa: bigint, value: bigint, bytes: 4 | 8): void;
  peek(pa: bigint, bytes: 4 | 8): bigint;
  access(access: Access): Outcome;
  /** These return false for #GP. */
  movCr0(value: bigint): boolean;
  movCr3(value: bigint): boolean;
  movCr4(value: bigint): boolean;
  invpcid(type: number, pcid: bigint, va: bigint): boolean;
  wrpkru(value: number): void;
  wrpkrs(value: number): void;
  invlpg(va: bigint): void;
}
