/** Control-register bits as the SDM gives them, apart from src: a wrong bit there must not agree with itself here. */
export const CR0 = { PE: 0x1, TS: 0x8, WP: 0x1_0000, NW: 0x2000_0000, CD: 0x4000_0000, PG: 0x8000_0000 } as const;

export const CR4 = {
  PSE: 0x10,
  PAE: 0x20,
  PGE: 0x80,
  OSFXSR: 0x200,
  LA57: 0x1000,
  PCIDE: 0x2_0000,
  SMEP: 0x10_0000,
  SMAP: 0x20_0000,
  PKE: 0x40_0000,
  PKS: 0x100_0000,
} as const;

export const EFER = { LME: 0x100, LMA: 0x400, NXE: 0x800 } as const;
