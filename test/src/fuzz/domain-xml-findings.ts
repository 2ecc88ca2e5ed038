/** Documents that once made a pass throw what is no answer, or take too long; each as small as it was understood. */
export const domainXmlFindings: readonly string[] = [];
