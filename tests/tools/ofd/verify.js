// Verifies the seals of OFD files with ofd.js, which shares nothing with this project, and tells what it found, one JSON object a line.
//
//     node verify.js BUNDLE FILE...  ->  {"file", "pages", "seals": [{"name", "signature", "files", "digests"}]}
//
// `signature` is what the reader says of the signer's signature over the seal, the time and the digest of Signature.xml; `digests` what
// it says of the digests of all `files`. It was made for browsers: it looks for a page, and keeps what is to be digested in a global.
const fs = require('fs');
const [bundle, ...files] = process.argv.slice(2);
const tell = console.log;
console.log = () => {};
global.window = global.self = global;
global.document = { currentScript: { src: '' } };
if (!global.File) global.File = class {};

let lists = new Map();
Object.defineProperty(global, 'toBeChecked', {
  get: () => ({ set: (signature, list) => lists.set(signature, list), get: (signature) => lists.get(signature) }),
  set: () => {},
});
const reader = require(bundle);

// It does not wait for the files that it unpacks to digest them.
const unpacked = async () => {
  const count = () => [...lists.values()].reduce((all, list) => all + list.length, 0);
  for (let [before, quiet] = [-1, 0]; quiet < 10; ) {
    await new Promise((done) => setTimeout(done, 50));
    [before, quiet] = [count(), count() === before ? quiet + 1 : 0];
  }
};

const opened = (octets) => new Promise((success, fail) => reader.parseOfdDocument({ ofd: octets, success, fail }));

(async () => {
  for (const file of files) {
    lists = new Map();
    const octets = fs.readFileSync(file);
    const documents = await opened(octets.buffer.slice(octets.byteOffset, octets.byteOffset + octets.length));
    await unpacked();
    const stamps = documents.flatMap((one) => Object.values(one.stampAnnot || {}).flat()).map((one) => one.stamp);
    const seals = stamps.map(({ sealObj, signedInfo }) => {
      const list = lists.get(signedInfo.signatureID) || [];
      const name = sealObj.SES_Signature && sealObj.SES_Signature.toSign.eseal.esealInfo.property.name;
      return { name, signature: sealObj.verifyRet === true, files: list.length, digests: reader.digestCheck(list) === true };
    });
    tell(JSON.stringify({ file, pages: documents.flatMap((one) => one.pages).length, seals }));
  }
})().catch((error) => {
  console.error(error);
  process.exit(1);
});
