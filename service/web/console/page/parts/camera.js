// Takes a picture with the camera of this machine.
import { html, useEffect, useRef, useState } from "../core/html.js";

const QUALITY = 0.92;

/** @param {{ onEnd: (picture: Blob | undefined) => void }} props */
export function Camera({ onEnd }) {
  const dialog = useRef(/** @type {HTMLDialogElement | null} */ (null));
  const video = useRef(/** @type {HTMLVideoElement | null} */ (null));
  const [ready, setReady] = useState(false);
  const [problem, setProblem] = useState("");
  useEffect(() => {
    /** @type {MediaStream | undefined} */
    let stream;
    let gone = false;
    dialog.current?.showModal();
    navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } }).then(
      (opened) => {
        stream = opened;
        if (gone || !video.current) return opened.getTracks().forEach((track) => track.stop());
        video.current.srcObject = opened;
        return video.current.play();
      },
      (error) => setProblem(`The camera cannot be used: ${error.message}`),
    );
    return () => {
      gone = true;
      stream?.getTracks().forEach((track) => track.stop());
    };
  }, []);
  const take = () => {
    const { videoWidth: width, videoHeight: height } = /** @type {HTMLVideoElement} */ (video.current);
    const canvas = Object.assign(document.createElement("canvas"), { width, height });
    canvas.getContext("2d")?.drawImage(/** @type {HTMLVideoElement} */ (video.current), 0, 0);
    canvas.toBlob((made) => onEnd(made ?? undefined), "image/jpeg", QUALITY);
  };
  return html`<dialog ref=${dialog} aria-label="Camera" onClose=${() => onEnd(undefined)}>
    ${problem ? html`<p role="alert">${problem}</p>` : html`<video ref=${video} muted playsinline onPlaying=${() => setReady(true)}></video>`}
    <p class="row"><button type="button" class="main" disabled=${!ready} onClick=${take}>Take a picture</button>
      <button type="button" onClick=${() => onEnd(undefined)}>Cancel</button></p>
  </dialog>`;
}
