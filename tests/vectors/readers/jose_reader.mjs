// Reads tokens as an issuer's own receiver in node would: `jose`, algorithms pinned, everything compared.
// In: {jwks, private: {keys}, iss, aud, tokens: [...]}. Out: [{header, claims, sealedHeader, body} or {refused}].
import { compactDecrypt, compactVerify, importJWK } from "jose";

const SHARE = "urn:x-issuernetwork:event:share:v1";
const CLEAR = "urn:x-issuernetwork:event:clear-share:v1";
const text = new TextDecoder("utf-8", { fatal: true });
const parse = (bytes) => JSON.parse(text.decode(bytes));

const input = JSON.parse(await new Promise((done) => {
  let all = "";
  process.stdin.setEncoding("utf8").on("data", (some) => (all += some)).on("end", () => done(all));
}));

// The algorithm is the key's: a header that says another finds no key.
const keyOf = (keys, use) => async ({ kid, alg }) => {
  const jwk = keys.find((key) => key.kid === kid && key.alg === alg && key.use === use);
  if (!jwk) throw new Error("no key of this kid for this alg");
  return importJWK(jwk, alg);
};

async function open(token) {
  const algorithms = input.jwks.keys.map((key) => key.alg);
  const signed = await compactVerify(token, keyOf(input.jwks.keys, "sig"), { algorithms });
  const header = signed.protectedHeader;
  const claims = parse(signed.payload);
  if (header.typ !== "secevent+jwt") throw new Error("typ");
  if (claims.iss !== input.iss || claims.aud !== input.aud || "exp" in claims) throw new Error("claims");
  if (CLEAR in claims.events) {
    const sealed = ["encryptedData", "card_token", "token_epoch", "match"];
    if (sealed.some((name) => name in claims.events[CLEAR])) throw new Error("a card");
    return { header, claims };
  }
  const event = claims.events[SHARE];
  const opened = await compactDecrypt(event.encryptedData, keyOf(input.private.keys, "enc"), {
    keyManagementAlgorithms: ["ECDH-ES+A256KW", "RSA-OAEP-256"],
    contentEncryptionAlgorithms: ["A256GCM"],
  });
  if ("zip" in opened.protectedHeader) throw new Error("zip");
  const body = parse(opened.plaintext);
  for (const name of ["share_id", "issuer_id", "program"]) {
    if (body[name] !== event[name]) throw new Error("binding");
  }
  if (body.recipient_id !== input.aud) throw new Error("binding");
  delete event.encryptedData;
  return { header, claims, sealedHeader: opened.protectedHeader, body };
}

const found = [];
for (const token of input.tokens) {
  found.push(await open(token).catch((refused) => ({ refused: refused.code ?? refused.message })));
}
process.stdout.write(JSON.stringify(found));
