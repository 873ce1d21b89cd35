/** Bits of the control registers and of EFER that concern memory. SDM 3A, "Control Registers"; 4, "IA32_EFER". */
import type { PagingModeName } from '../mmu/paging-mode.ts';
import { type Features, INTEL } from './features.ts';

export const CR0_PE: number = 1 << 0;
export const CR0_ET: number = 1 << 4;
export const CR0_WP: number = 1 << 16;
export const CR0_AM: number = 1 << 18;
export const CR0_NW: number = 1 << 29;
export const CR0_CD: number = 1 << 30;
export const CR0_PG: number = 1 << 31;
/** Bits of CR0 that exist; writes to others below bit 32 are ignored. */
export const CR0_DEFINED: number = 0x3f | CR0_WP | CR0_AM | CR0_NW | CR0_CD | CR0_PG;

export const CR3_NO_FLUSH: number = 1 << 31; // bit 63, in the high half
export const CR3_PCID: number = 0xfff;

export const CR4_PSE: number = 1 << 4;
export const CR4_PAE: number = 1 << 5;
export const CR4_PGE: number = 1 << 7;
export const CR4_LA57: number = 1 << 12;
export const CR4_PCIDE: number = 1 << 17;
export const CR4_SMEP: number = 1 << 20;
export const CR4_SMAP: number = 1 << 21;
export const CR4_PKE: number = 1 << 22;
export const CR4_PKS: number = 1 << 24;
/** Bits that have nothing to do with memory and are accepted on every processor: VME to DE, MCE, PCE to UMIP, VMXE to OSXSAVE. */
const CR4_OTHER = 0xf | (1 << 6) | (7 << 8) | (1 << 11) | (3 << 13) | (1 << 16) | (1 << 18);

export const EFER_SCE: number = 1 << 0;
export const EFER_LME: number = 1 << 8;
export const EFER_LMA: number = 1 << 10;
export const EFER_NXE: number = 1 << 11;
const EFER_AMD = (1 << 12) | (1 << 13) | (1 << 14) | (1 << 15); // SVME, LMSLE, FFXSR, TCE

/** Bits that may be set in CR4. */
export const cr4Allowed = (features: Features): number =>
  CR4_OTHER |
  (features.pse ? CR4_PSE : 0) |
  (features.pae ? CR4_PAE : 0) |
  (features.pge ? CR4_PGE : 0) |
  (features.la57 ? CR4_LA57 : 0) |
  (features.pcid ? CR4_PCIDE : 0) |
  (features.smep ? CR4_SMEP : 0) |
  (features.smap ? CR4_SMAP : 0) |
  (features.pku ? CR4_PKE : 0) |
  (features.pks ? CR4_PKS : 0);

/** Bits that may be set in EFER. */
export const eferAllowed = (features: Features): number =>
  EFER_SCE |
  (features.longMode ? EFER_LME | EFER_LMA : 0) |
  (features.nx ? EFER_NXE : 0) |
  (features.vendor === 'amd' ? EFER_AMD : 0);

// Bits that come with a feature (INTEL has them all) and that the processor lacks. No state of it has them; of bits that
// have nothing to do with memory nothing is said.
export const cr4Lacking = (features: Features): number => cr4Allowed(INTEL) & ~cr4Allowed(features);
export const eferLacking = (features: Features): number => eferAllowed(INTEL) & ~eferAllowed(features);

/** The paging mode that control registers select. */
export function modeOf(cr0: number, cr4: number, efer: number): PagingModeName {
  if ((cr0 & CR0_PG) === 0) return 'none';
  if ((efer & EFER_LMA) !== 0) return (cr4 & CR4_LA57) !== 0 ? '5-level' : '4-level';
  return (cr4 & CR4_PAE) !== 0 ? 'pae' : '32-bit';
}
