// Google's client uses XMLHttpRequest, which Node.js does not have.

import Base from "xhr2";

/** xhr2 delivers text only at the end. Browsers deliver each part when it arrives, which streams need. */
class XMLHttpRequest extends Base {
  _onHttpResponseData(response, data) {
    super._onHttpResponseData(response, data);
    if (this.responseType === "") {
      // The text is Base64, so no character is split.
      this.responseText += data.toString("latin1");
      this._setReadyState(Base.LOADING);
    }
  }
}

globalThis.XMLHttpRequest = XMLHttpRequest;
