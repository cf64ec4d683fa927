// Google's client speaks through XMLHttpRequest, which Node.js does not have.

import Base from "xhr2";

/** xhr2 hands text over at its end; browsers hand over what has come, and tell so with each piece. Streams need that. */
class XMLHttpRequest extends Base {
  _onHttpResponseData(response, data) {
    super._onHttpResponseData(response, data);
    if (this.responseType === "") {
      // Base64, so no character is cut in two.
      this.responseText += data.toString("latin1");
      this._setReadyState(Base.LOADING);
    }
  }
}

globalThis.XMLHttpRequest = XMLHttpRequest;
