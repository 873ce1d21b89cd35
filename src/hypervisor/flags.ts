/**
 * Flags of mappings and of flushes, with Xen's spellings and values.
 *
 * Flags of a mapping are 24 bits: bits 0 to 11 are entry bits 0 to 11, bits 12 to 23 entry bits 52 to 63 (NX is bit 23).
 */
import { A, D, G, NX, P, PCD, PS, PWT, RW } from '../mmu/entry.ts';
import type { Frame } from '../mmu/halves.ts';

/** "No frame", for requests that map nothing. Xen: INVALID_MFN, all ones. */
export const INVALID_MFN: Frame = 2 ** 52 - 1;

/** Only 4 KiB pages, now and later: the bit stays in the entry. Xen: MAP_SMALL_PAGES, _PAGE_AVAIL0. */
export const MAP_SMALL_PAGES: number = 1 << 9;
/** Bit 7 of a request: PAT of a 4 KiB page. Xen: _PAGE_PAT. */
export const PAGE_PAT: number = PS;
/** What selects the memory type of a page. Xen: PAGE_CACHE_ATTRS. */
export const PAGE_CACHE_ATTRS: number = PAGE_PAT | PCD | PWT;

/** An entry that points to a table. Xen: __PAGE_HYPERVISOR. */
export const PAGE_HYPERVISOR_TABLE: number = P | RW | A | D;

const RO = P | A | NX;
/** Xen: PAGE_HYPERVISOR_RO. */
export const PAGE_HYPERVISOR_RO: number = RO | G;
/** Xen: PAGE_HYPERVISOR_RX. */
export const PAGE_HYPERVISOR_RX: number = P | A | G;
/** Xen: PAGE_HYPERVISOR_RW. */
export const PAGE_HYPERVISOR_RW: number = RO | RW | D | G;
/** The only flags whose mappings coalesce by default. Xen: PAGE_HYPERVISOR. */
export const PAGE_HYPERVISOR: number = PAGE_HYPERVISOR_RW;
/** Xen: PAGE_HYPERVISOR_RWX. */
export const PAGE_HYPERVISOR_RWX: number = P | RW | A | D | G;
/** A shadow stack: read-only and dirty. Xen: PAGE_HYPERVISOR_SHSTK. */
export const PAGE_HYPERVISOR_SHSTK: number = RO | D | G;
/** Xen: PAGE_HYPERVISOR_WT. */
export const PAGE_HYPERVISOR_WT: number = PAGE_HYPERVISOR_RW | PWT;
/** Xen: PAGE_HYPERVISOR_UCMINUS. */
export const PAGE_HYPERVISOR_UCMINUS: number = PAGE_HYPERVISOR_RW | PCD;
/** Xen: PAGE_HYPERVISOR_UC. */
export const PAGE_HYPERVISOR_UC: number = PAGE_HYPERVISOR_RW | PCD | PWT;
/** Xen: PAGE_HYPERVISOR_WC. */
export const PAGE_HYPERVISOR_WC: number = PAGE_HYPERVISOR_RW | PAGE_PAT;

/** What `modifyXenMappings` may change. Xen: FLAGS_MASK of modify_xen_mappings(). */
export const MODIFY_MASK: number = NX | D | A | RW | P;

/** The order of a flush, 0 to 18, as the low 8 bits of its flags carry it (order + 1; 0 means everything). Xen: FLUSH_ORDER(). */
export const FLUSH_ORDER = (order: number): number => order + 1;
/** Xen: FLUSH_ORDER_MASK. */
export const FLUSH_ORDER_MASK: number = 0xff;
/** Flush translations. Xen: FLUSH_TLB. */
export const FLUSH_TLB: number = 0x100;
/** Flush global translations too. Xen: FLUSH_TLB_GLOBAL. */
export const FLUSH_TLB_GLOBAL: number = 0x200;
/** Write back and evict cache lines. Xen: FLUSH_CACHE_EVICT. */
export const FLUSH_CACHE_EVICT: number = 0x400;
/** The address is mapped, so that cache lines can be flushed by it. Xen: FLUSH_VA_VALID. */
export const FLUSH_VA_VALID: number = 0x800;
/** Xen: FLUSH_VCPU_STATE. */
export const FLUSH_VCPU_STATE: number = 0x1000;
/** Xen: FLUSH_ROOT_PGTBL. */
export const FLUSH_ROOT_PGTBL: number = 0x2000;
/** Xen: FLUSH_HVM_ASID_CORE. */
export const FLUSH_HVM_ASID_CORE: number = 0x4000;
/** Send IPIs even where a hypervisor below offers to flush. Xen: FLUSH_NO_ASSIST. */
export const FLUSH_NO_ASSIST: number = 0x8000;
/** Write back cache lines. Xen: FLUSH_CACHE_WRITEBACK. */
export const FLUSH_CACHE_WRITEBACK: number = 0x10000;

/**
 * log2 of the pages (4 KiB) of an entry's span, by level 1 to 4. A sum, not a list: a look into a list takes eight instructions.
 * Not in Xen: it has constants for each level.
 */
export const orderOf = (level: number): number => 9 * level - 9;
/** Those pages. Not in Xen: it has shifts and macros for each level. */
export const pagesOf = (level: number): number => 1 << orderOf(level);
