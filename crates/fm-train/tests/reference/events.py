"""Event files by TensorBoard itself.

`events.py make` writes events.tfevents beside this file: what TensorBoard's own writer makes of the events of tests/tensorboard.rs.
`events.py read FOLDER` prints, as JSON, what TensorBoard's own reader finds in a folder of event files.
Made with tensorboard 2.21.0.
"""
import base64
import json
import pathlib
import sys

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

PNG = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==")

match sys.argv[1:]:
    case ["make"]:
        image = Summary.Image(height=1, width=1, colorspace=3, encoded_image_string=PNG)
        events = [
            Event(wall_time=1.8e9, file_version="brain.Event:2"),
            Event(wall_time=1.8e9, step=41, session_log=SessionLog(status=SessionLog.START)),
            Event(wall_time=1.8e9 + 0.25, step=50, summary=Summary(value=[
                Summary.Value(tag="train/loss", simple_value=0.75), Summary.Value(tag="train/lr", simple_value=1e-3)])),
            Event(wall_time=1.8e9 + 0.5, step=50, summary=Summary(value=[Summary.Value(tag="samples", image=image)])),
        ]
        with open(pathlib.Path(__file__).with_name("events.tfevents"), "wb") as file:
            writer = RecordWriter(file)
            for event in events:
                writer.write(event.SerializeToString(deterministic=True))
    case ["read", folder]:
        found = EventAccumulator(folder, size_guidance={"scalars": 0, "images": 0}).Reload()
        tags = found.Tags()
        print(json.dumps({
            "scalars": {tag: [[e.step, e.value] for e in found.Scalars(tag)] for tag in tags["scalars"]},
            "images": {tag: [[e.step, e.width, e.height] for e in found.Images(tag)] for tag in tags["images"]},
        }))
