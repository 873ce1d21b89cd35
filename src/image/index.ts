/**
 * pagewalk/image: memory images and listings of what their page tables map.
 * @module pagewalk/image
 */

export { FaultError } from '../cpu/fault.ts';
export type { Enters } from '../mmu/leaves.ts';
export type { PagingModeName } from '../mmu/paging-mode.ts';
export type { Image, ImageCpu, RamExtent } from './image.ts';
export { ImageError } from './image-error.ts';
export { type OpenCpuOptions, type OpenOptions, openCpu, openImage } from './open-image.ts';
export { leafLines, qemuLeaves, qemuMemLines, qemuTlbLines } from './qemu-listing.ts';
export type { RawRegisters } from './raw.ts';
export { bytesReader, type RandomAccess } from './reader.ts';
export { containerBytes, type Writable, writeContainer } from './write-container.ts';
