/**
 * What a processor can do (CPUID), and what it does where the manuals leave a choice.
 */
import type { AccessedOnFault } from '../mmu/walk.ts';

export interface Features {
  readonly vendor: 'intel' | 'amd';
  /** MAXPHYADDR: bits of a physical address, 32 to 52. */
  readonly maxPhyAddr: number;
  readonly pse: boolean;
  readonly pse36: boolean;
  readonly pae: boolean;
  readonly pge: boolean;
  readonly pat: boolean;
  readonly pcid: boolean;
  readonly invpcid: boolean;
  readonly nx: boolean;
  readonly longMode: boolean;
  readonly page1gb: boolean;
  readonly la57: boolean;
  readonly smep: boolean;
  readonly smap: boolean;
  readonly pku: boolean;
  readonly pks: boolean;
}

/** A recent Intel processor. */
export const INTEL: Features = {
  vendor: 'intel',
  maxPhyAddr: 46,
  pse: true,
  pse36: true,
  pae: true,
  pge: true,
  pat: true,
  pcid: true,
  invpcid: true,
  nx: true,
  longMode: true,
  page1gb: true,
  la57: true,
  smep: true,
  smap: true,
  pku: true,
  pks: true,
};

/** A recent AMD processor: no supervisor keys. */
export const AMD: Features = { ...INTEL, vendor: 'amd', maxPhyAddr: 48, pks: false };

/** Where the manuals leave freedom. Each default is what recent Intel processors are known to do. */
export interface Policy {
  /** A flags of entries above the one that stopped a walk. */
  readonly accessedOnFault: AccessedOnFault;
  /** Whether MOV CR3 also checks reserved bits of PDPTEs that are not present, as "some processors" do. */
  readonly absentPdpteReserved: 'ignored' | 'checked';
  /** When a TLB entry denies an access: `walk` looks at memory first, `fault` delivers the (perhaps spurious) fault. */
  readonly deniedHit: 'walk' | 'fault';
  /** Whether A and D stores into a page flagged as code reach `onCodeWrite`. */
  readonly accessedDirtyStores: 'silent' | 'reported';
  /** What a task switch to a CR3 with bad PDPTEs raises, past the point of no return: #TS (10) or #GP (13). */
  readonly taskSwitchPdpteFault: 10 | 13;
}

export const DEFAULT_POLICY: Policy = {
  accessedOnFault: 'none',
  absentPdpteReserved: 'ignored',
  deniedHit: 'walk',
  accessedDirtyStores: 'silent',
  taskSwitchPdpteFault: 10,
};

/** RangeError where no processor has these features together. */
export function checkFeatures(features: Features): void {
  if (features.longMode && !features.pae) throw new RangeError('a processor with long mode has PAE');
  if (features.la57 && !features.longMode) throw new RangeError('a processor with LA57 has long mode');
}
