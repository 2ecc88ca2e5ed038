export * from './capabilities';
export * from './model';
export * from './parse-domain';
export type { ParseOptions, Warning } from './schema/parse';
export { lineOf, copyModel } from './schema/faults';
export { readXml, type XmlElement } from './xml/reader';
