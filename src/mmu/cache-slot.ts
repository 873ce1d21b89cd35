/** How an entry lies in a cache of translations (translation-cache.ts). */

// A slot is one half of a cache line: a search touches one or two lines, not one an array (a miss over 64 MiB: 30 ns less).
// Words of a slot; its last two are the frame, a double. KEY is the low half of the tag, and below it the low bits of the
// generation: nearly every slot that is not the one, and nearly every one that is free, shows in this word.
export const SLOT_WORDS: number = 8;
export const KEY: number = 0;
export const TAG_HI: number = 1;
export const GENERATION: number = 2;
export const RIGHTS: number = 3;
export const CONTEXT: number = 4;
export const SLOT_DOUBLES: number = 4;
export const FRAME: number = 3;
/** The bits of KEY that are the generation's. Tags have none below bit 12. */
export const KEY_GENERATION: number = 0xfff;

/** Rights take 12 bits; above them are marks, of whoever derived something from an entry. */
export const MARK_SHIFT: number = 12;
export const RIGHTS_MASK: number = (1 << MARK_SHIFT) - 1;
