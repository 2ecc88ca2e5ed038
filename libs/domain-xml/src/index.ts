export * from './capabilities';
export * from './model';
export * from './parse-domain';
export * from './passes/prepare';
export type { PrepareOptions } from './passes/options';
export type { ParseOptions, Warning } from './schema/parse';
export { copyModel, lineOf } from './schema/faults';
export { readXml, type XmlElement } from './xml/reader';
