/** Why an option, or a device with all that belongs to it, cannot be told in the document. */
export class NotUnderstood extends Error {
  override readonly name = 'NotUnderstood';
}
