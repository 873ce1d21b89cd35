/**
 * What a processor can do (CPUID), and what it does where the manuals leave a choice.
 */
import type { AccessedOnFault } from '../mmu/walk.ts';

/** What a processor can do, as CPUID tells it. A control bit of what it lacks is refused (#GP), an entry bit ignored or reserved, as the manual says. */
export interface Features {
  /** Decides where Intel's and AMD's manuals differ: reserved bits, and what changes invalidate. */
  readonly vendor: 'intel' | 'amd';
  /** MAXPHYADDR: bits of a physical address, 32 to 52. */
  readonly maxPhyAddr: number;
  /** 4 MiB pages in 32-bit paging. */
  readonly pse: boolean;
  /** Physical addresses above 4 GiB for those pages, up to 40 bits. */
  readonly pse36: boolean;
  /** PAE paging; long mode needs it. */
  readonly pae: boolean;
  /** Global pages. */
  readonly pge: boolean;
  /** The page attribute table: the PAT flag of leaves. */
  readonly pat: boolean;
  /** Process-context identifiers. */
  readonly pcid: boolean;
  /** The INVPCID instruction. */
  readonly invpcid: boolean;
  /** Execute-disable (XD, AMD: NX), enabled by EFER.NXE. */
  readonly nx: boolean;
  /** 4-level paging. */
  readonly longMode: boolean;
  /** 1 GiB pages. */
  readonly page1gb: boolean;
  /** 5-level paging. */
  readonly la57: boolean;
  /** Supervisor-mode execution prevention. */
  readonly smep: boolean;
  /** Supervisor-mode access prevention. */
  readonly smap: boolean;
  /** Protection keys for user pages. */
  readonly pku: boolean;
  /** Protection keys for supervisor pages. */
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

/** What a CPU does when nothing else is asked for. */
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
