/** `node services/storage`: the storage service of one host. */
export {};
