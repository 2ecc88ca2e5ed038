/** What the header of an image says of itself. */
import type { ImageFormat } from '@virtbus/shared';

/** The layer below, as a header records it. */
export interface RecordedBacking {
  /** A path, a URI or a `json:` string, not interpreted. */
  readonly string: string;
  /** Absent when the header records none. */
  readonly format?: ImageFormat;
  /** What stands in the format field, where that is no format's name: a protocol driver of QEMU, or anything. */
  readonly formatText?: string;
  /** The format itself says that an image below, when it records nothing, is safe to probe (qed). */
  readonly safeToProbe?: true;
}

export interface ImageHeader {
  readonly format: ImageFormat;
  /** Bytes that a guest sees. */
  readonly capacity: bigint;
  readonly backing?: RecordedBacking;
  /** The data lie in another file; without `name` the header does not say in which. */
  readonly dataFile?: { readonly name?: string; readonly raw: boolean };
  readonly encryption?: 'luks' | 'qcow';
  /** Bytes. */
  readonly clusterSize?: number;
  /** qcow2: `0.10` is version 2, `1.1` version 3. */
  readonly compat?: '0.10' | '1.1';
  /** qcow2: `lazy_refcounts`, `extended_l2`, `data_file`, `dirty`, `corrupt`. */
  readonly features?: readonly string[];
  /** qcow2; absent when it keeps none. */
  readonly bitmaps?: readonly RecordedBitmap[];
}

/** A dirty bitmap that an image keeps. */
export interface RecordedBitmap {
  readonly name: string;
  /** Bytes that a bit stands for. */
  readonly granularity: number;
  /** It goes on recording when the image is opened. */
  readonly recording: boolean;
  /** Something has the image open, or did not close it well: what it holds does not count. */
  readonly inUse: boolean;
}

/** How one format is recognised and read. */
export interface FormatReader {
  readonly format: ImageFormat;
  /** Magic and version, from the first bytes of the image. */
  matches(start: Buffer): boolean;
  /** @throws VirtError IMAGE_INVALID */
  read(bytes: HeaderBytes): Promise<ImageHeader>;
}

/** Bounded access to an image; every refusal names it. */
export interface HeaderBytes {
  readonly size: number;
  /** Exactly these bytes. @throws VirtError IMAGE_INVALID when the image ends before */
  take(offset: number | bigint, length: number, what: string): Promise<Buffer>;
  /** These bytes, or as many as there are. */
  upTo(offset: number, length: number): Promise<Buffer>;
  refuse(detail: string): never;
}
