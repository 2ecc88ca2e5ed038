/** A domain's definition and its guest's document: in memory, and on disk. */
import { formatDomain, parseDomain, type Domain } from '@virtbus/domain-xml';
import type { Log } from '@virtbus/shared/log';
import type { Store } from './store';

/** The definition first: what is done again after a crash between the two is planned by the live document as it was. */
const kinds = ['config', 'live'] as const;
export type DocumentKind = (typeof kinds)[number];
export type Documents = Partial<Record<DocumentKind, Domain | undefined>>;

export class KeptDocuments {
  config: Domain | undefined;
  live: Domain | undefined;
  /** Those that are ahead of what is on disk, which was full. */
  private readonly unsaved = new Set<DocumentKind>();

  constructor(
    private readonly uuid: string,
    private readonly store: Store,
    private readonly log: Log,
  ) {}

  /** Read what an earlier process has left. @param booted since: the guest is gone, and its document may be torn */
  load(booted: boolean): void {
    const config = this.store.loadDocument(this.uuid, 'config');
    const live = this.store.loadDocument(this.uuid, 'live');
    if (config !== undefined) this.config = parseDomain(config, { mode: 'inactive', unknown: 'warn' }).domain;
    try {
      if (live !== undefined) this.live = parseDomain(live, { mode: 'live', unknown: 'warn' }).domain;
    } catch (error) {
      if (!booted || !this.config) throw error;
      this.drop('live');
    }
  }

  /** On disk when it returns, or as it was. */
  set(kind: DocumentKind, domain: Domain): void {
    this.save(kind, domain);
    this[kind] = domain;
  }

  /** They are so, whether the disk takes them or not. Those that it does not take are written by `saveUnsaved`. */
  become(documents: Documents): void {
    for (const kind of kinds) {
      if (!documents[kind]) continue;
      this[kind] = documents[kind];
      this.unsaved.add(kind);
    }
    try {
      this.saveUnsaved();
    } catch (err) {
      this.log.error({ err }, 'a document cannot be written: it is again with the next record');
    }
  }

  saveUnsaved(): void {
    for (const kind of kinds) {
      const { [kind]: domain } = this;
      if (this.unsaved.has(kind) && domain) this.save(kind, domain);
    }
  }

  drop(kind: DocumentKind): void {
    this[kind] = undefined;
    this.unsaved.delete(kind);
    this.store.dropDocument(this.uuid, kind);
  }

  private save(kind: DocumentKind, domain: Domain): void {
    const view = kind === 'config' ? 'inactive' : 'live';
    // A definition survives a power cut, a guest does not.
    this.store.saveDocument(this.uuid, kind, formatDomain(domain, { view, secrets: true }), kind === 'config');
    this.unsaved.delete(kind);
  }
}
