// Unknown to TypeScript 4.8, Debian's; with `skipLibCheck` later versions go by their own.

interface DecompressionStream extends GenericTransformStream {}

declare var DecompressionStream: { new (format: "gzip"): DecompressionStream };
