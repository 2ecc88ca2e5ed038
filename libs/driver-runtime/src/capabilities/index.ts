/** What every driver says of its host, and how such documents are written. */
export { hostDocument, hostNode, type HostDocument } from './host-document';
export { parseList, readHostInfo, type HostCell, type HostInfo, type HostProcessor } from './host-info';
export { formatXml, type XmlNode } from './xml-document';
