// The rules of eslint for the Worker's JavaScript, `js/`. tsc checks its types, see tsconfig.json.
import js from "@eslint/js";

// The platform's names that the Worker uses, and no others: `no-undef` reports the rest.
const GLOBALS = [
  "AbortSignal",
  "Blob",
  "CompressionStream",
  "FixedLengthStream",
  "Headers",
  "IdentityTransformStream",
  "Request",
  "Response",
  "TextDecoder",
  "TextEncoder",
  "URL",
  "WebAssembly",
  "atob",
  "clearTimeout",
  "console",
  "crypto",
  "fetch",
  "setTimeout",
];

export default [
  js.configs.recommended,
  {
    languageOptions: {
      ecmaVersion: "latest",
      sourceType: "module",
      globals: Object.fromEntries(GLOBALS.map((name) => [name, "readonly"])),
    },
    linterOptions: { reportUnusedDisableDirectives: "error" },
    rules: {
      eqeqeq: "error",
      "max-params": ["error", 5],
      "no-restricted-globals": [
        "error",
        { name: "globalThis", message: "Import what the module needs." },
        { name: "self", message: "Import what the module needs." },
        { name: "setInterval", message: "A timer must not outlive its request." },
        { name: "isNaN", message: "Use Number.isNaN, which does not convert." },
        { name: "isFinite", message: "Use Number.isFinite, which does not convert." },
      ],
      "no-undef": "error",
      "no-unused-vars": "error",
      "no-var": "error",
      "prefer-const": "error",
    },
  },
];
