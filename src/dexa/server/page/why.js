// Why a label was answered.

export function explained(explanation) {
  return [document.createTextNode(JSON.stringify(explanation))];
}
