/** The version of this package, as it stands in its package.json; a test compares them. */
export const serverVersion = "0.1.0";
